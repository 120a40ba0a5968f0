package drover

import (
	"fmt"
	"strings"
	"testing"
)

func TestAFlowIsAListOfStepsAndWhatEachWaitsFor(t *testing.T) {
	a, b, c, d := Step("a", 1), Step("b", 1), Step("c", 1), Step("d", 1)
	for _, test := range []struct {
		rule string
		node Node
		want string
	}{
		{"a step waits for nothing", a, "a[]"},
		{"a chain: each for the one before", Chain(a, b, c), "a[] b[0] c[1]"},
		{"a group: all at once", Group(a, b), "a[] b[]"},
		{"a chord: the callback for all of the header", Chord([]Node{a, b}, c), "a[] b[] c[0 1]"},
		{"a group in a chain waits for what is before it", Chain(a, Group(b, c), d), "a[] b[0] c[0] d[1 2]"},
		{"a chain in a chord counts by its last step", Chord([]Node{Chain(a, b), c}, d), "a[] b[0] c[] d[1 2]"},
		{"a chain of groups: all for all", Chain(Group(a, b), Group(c, d)), "a[] b[] c[0 1] d[0 1]"},
		{"a graph in any order, inputs in the order of After", Graph(
			Vertex{Name: "d", Node: d, After: []string{"c", "b"}},
			Vertex{Name: "b", Node: b, After: []string{"a"}},
			Vertex{Name: "c", Node: c, After: []string{"a"}},
			Vertex{Name: "a", Node: a},
		), "a[] c[0] b[0] d[1 2]"},
		{"a graph in a chain ends in what nobody waits for", Chain(a, Graph(
			Vertex{Name: "b", Node: b}, Vertex{Name: "c", Node: c, After: []string{"b"}},
		), d), "a[] b[0] c[1] d[2]"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			list, err := membersOf(test.node)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, member := range list {
				got = append(got, fmt.Sprint(member.GetJob().GetTask(), member.GetDependsOn()))
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
		})
	}
}

func TestAStepIsAJobWithoutAKeyOfItsOwn(t *testing.T) {
	task := Define[int, int]("a", Queue("mail"), Priority(1))
	list, err := membersOf(task.Step(7, Priority(9), IfItFails(Continue), StepName("first")))
	if err != nil {
		t.Fatal(err)
	}
	member := list[0]
	job := member.GetJob()
	got := fmt.Sprintf("%q %s %d %s %v %s", job.GetKey(), job.GetQueue(), job.GetPriority(), job.GetPayload().GetData(),
		member.GetOnFailure(), member.GetName())
	if want := `"" mail 9 7 FAILURE_POLICY_CONTINUE first`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if first, second := task.Spec(1, Priority(2)), task.Spec(1); first.job.GetPriority() != 2 || second.job.GetPriority() != 1 {
		t.Error("what is said of one job holds for another")
	}
}

func TestAMistakeInAFlowIsReportedBySubmit(t *testing.T) {
	a := Step("a", 1)
	for want, node := range map[string]Node{
		"no node":                       nil,
		"empty chain":                   Chain(a, Chain()),
		"empty group":                   Chord(nil, a),
		"empty graph":                   Graph(),
		"a node is nil":                 Group(a, nil),
		`two vertices named "x"`:        Graph(Vertex{Name: "x", Node: a}, Vertex{Name: "x", Node: a}),
		`"x" comes after "y", which is`: Graph(Vertex{Name: "x", Node: a, After: []string{"y"}}),
		`comes after itself`:            Graph(Vertex{Name: "x", Node: a, After: []string{"y"}}, Vertex{Name: "y", Node: a, After: []string{"x"}}),
		"payload of b":                  Chain(a, Step("b", make(chan int))),
		"priority: -1 is out of range":  Step("b", 1, Priority(-1)),
	} {
		client := clientOf(t, &slowBroker{})
		if _, err := client.SubmitFlow(t.Context(), node); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
