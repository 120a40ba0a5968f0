package sdk

import (
	"fmt"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		given []string
		env   string
		want  string
	}{
		{nil, "", "[127.0.0.1:50051]"},
		{nil, "a:1, b:2", "[a:1 b:2]"},
		{[]string{"c:3"}, "a:1", "[c:3]"},
		{[]string{"", " "}, "a:1", "[a:1]"},
		{[]string{"a", "10.0.0.1", "[::1]", "::1", "[::1]:9"}, "", "[a:50051 10.0.0.1:50051 [::1]:50051 [::1]:50051 [::1]:9]"},
		{[]string{"dns:///brokers", "unix:/run/drover.sock", "passthrough:///x"}, "", "[dns:///brokers unix:/run/drover.sock passthrough:///x]"},
	} {
		t.Setenv("DROVER_ADDRESS", test.env)
		if got := fmt.Sprint(Addresses(test.given)); got != test.want {
			t.Errorf("%q, %q: %s", test.given, test.env, got)
		}
	}
}
