package drover

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// brokenConn says what it is given, and is broken then.
type brokenConn struct {
	net.Conn
	says string
	how  error
}

func (c *brokenConn) Read(into []byte) (int, error) {
	n := copy(into, c.says)
	c.says = c.says[n:]
	if n == 0 {
		return 0, c.how
	}
	return n, nil
}

func (c *brokenConn) Write([]byte) (int, error) { return 0, c.how }

func TestAConnectionThatBreaksBeforeTheBrokerSpeaksTellsOfTheCertificate(t *testing.T) {
	for name, test := range map[string]struct {
		says      string
		how       error
		explained bool
	}{
		"reset at once":          {how: syscall.ECONNRESET, explained: true},
		"ended at once":          {how: io.EOF, explained: true},
		"broken at once":         {how: syscall.EPIPE, explained: true},
		"closed by the client":   {how: net.ErrClosed},
		"reset after some words": {says: "settings", how: syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			conn := &unheardConn{Conn: &brokenConn{says: test.says, how: test.how}}
			if test.says != "" {
				if _, err := conn.Read(make([]byte, 16)); err != nil {
					t.Fatal(err)
				}
			}
			_, read := conn.Read(make([]byte, 16))
			_, written := conn.Write([]byte("preface"))
			for _, err := range []error{read, written} {
				if strings.Contains(err.Error(), "certificate") != test.explained {
					t.Errorf("explained: %v, said %q", !test.explained, err)
				}
			}
		})
	}
}
