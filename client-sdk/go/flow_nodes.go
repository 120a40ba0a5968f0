package drover

// Flows as people think of them: steps, chains of them, groups, chords, one inside the other, and any other graph. What
// the broker takes is one list of members with the positions of those that have to end first.

import (
	"fmt"
	"slices"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Node is a part of a flow: a Step, or what Chain, Group, Chord and Graph make of others.
type Node interface {
	// Adds itself behind the members at these positions and answers with those that end it.
	add(flow *members, after []uint32) []uint32
}

// OnFailure is what happens when a step fails for good, is cancelled, or passes its deadline.
type OnFailure int

// What may happen.
const (
	// FailFlow: what has not begun is cancelled, and the flow is Failed. The default.
	FailFlow = OnFailure(droverv1.FailurePolicy_FAILURE_POLICY_FAIL_FLOW)
	// Continue: those after it run all the same, and find its failure among their inputs.
	Continue = OnFailure(droverv1.FailurePolicy_FAILURE_POLICY_CONTINUE)
	// SkipDependents: those after it are left out, the rest goes on, and the flow is Failed in the end.
	SkipDependents = OnFailure(droverv1.FailurePolicy_FAILURE_POLICY_SKIP_DEPENDENTS)
)

// IfItFails says what a step's failure does to its flow. Of use in flows only.
func IfItFails(policy OnFailure) Option { return func(s *Spec) { s.onFailure = policy } }

// StepName names a step for people: at most 128 characters. Of use in flows only.
func StepName(name string) Option { return func(s *Spec) { s.stepName = name } }

// Step is one job of a flow. Its delay counts from when it is its turn. Without a Key it gets the flow's and its
// position. RejectExisting has no meaning here.
func Step(task string, payload any, options ...Option) Node {
	spec := specWithoutKey(task, payload, options)
	return step{&spec}
}

// Chain runs one node after the other: each has what the one before it came to as its inputs.
func Chain(nodes ...Node) Node { return chain(nodes) }

// Group runs all nodes at once; the results are in this order.
func Group(nodes ...Node) Node { return group(nodes) }

// Chord runs all of header at once, then callback, once, with what each of them came to as its inputs, in their order.
func Chord(header []Node, callback Node) Node { return Chain(Group(header...), callback) }

// Vertex is a node of a Graph and the vertices that have to end before it.
type Vertex struct {
	Name  string
	Node  Node
	After []string
}

// Graph runs each vertex once all that it names under After have ended; their results are its inputs, in that order.
// Vertices may be listed in any order. Names are the graph's own.
func Graph(vertices ...Vertex) Node { return graph(vertices) }

type (
	step  struct{ spec *Spec }
	chain []Node
	group []Node
	graph []Vertex
)

// members is a flow while it is put together; the first mistake is kept.
type members struct {
	list []*droverv1.FlowMember
	err  error
}

func (m *members) fail(format string, details ...any) []uint32 {
	if m.err == nil {
		m.err = fmt.Errorf("drover: flow: "+format, details...)
	}
	return nil
}

func membersOf(node Node) ([]*droverv1.FlowMember, error) {
	if node == nil {
		return nil, fmt.Errorf("drover: flow: there is no node")
	}
	var flow members
	node.add(&flow, nil)
	return flow.list, flow.err
}

func (s step) add(flow *members, after []uint32) []uint32 {
	if s.spec.err != nil && flow.err == nil {
		flow.err = s.spec.err
	}
	flow.list = append(flow.list, &droverv1.FlowMember{
		Job:       s.spec.job,
		DependsOn: after,
		OnFailure: droverv1.FailurePolicy(s.spec.onFailure),
		Name:      s.spec.stepName,
	})
	return []uint32{uint32(len(flow.list) - 1)}
}

func (c chain) add(flow *members, after []uint32) []uint32 {
	if len(c) == 0 {
		return flow.fail("an empty chain: leave it out, or put a step into it")
	}
	for _, node := range c {
		after = addTo(flow, node, after)
	}
	return after
}

func (g group) add(flow *members, after []uint32) (ends []uint32) {
	if len(g) == 0 {
		return flow.fail("an empty group: leave it out, or put a step into it")
	}
	for _, node := range g {
		ends = append(ends, addTo(flow, node, after)...)
	}
	return ends
}

func (g graph) add(flow *members, after []uint32) (ends []uint32) {
	if len(g) == 0 {
		return flow.fail("an empty graph: leave it out, or put a vertex into it")
	}
	byName, needed := map[string]Vertex{}, map[string]bool{}
	for _, vertex := range g {
		if _, doubled := byName[vertex.Name]; doubled {
			return flow.fail("two vertices named %q", vertex.Name)
		}
		byName[vertex.Name] = vertex
		for _, before := range vertex.After {
			needed[before] = true
		}
	}
	endsOf, open := map[string][]uint32{}, map[string]bool{}
	var visit func(name, wantedBy string) []uint32
	visit = func(name, wantedBy string) []uint32 {
		if done, ok := endsOf[name]; ok {
			return done
		}
		vertex, known := byName[name]
		switch {
		case !known:
			return flow.fail("%q comes after %q, which is no vertex", wantedBy, name)
		case open[name]:
			return flow.fail("%q comes after itself", name)
		}
		open[name] = true
		behind := after
		if len(vertex.After) > 0 {
			behind = nil
		}
		for _, before := range vertex.After {
			behind = append(behind, visit(before, name)...)
		}
		endsOf[name] = addTo(flow, vertex.Node, behind)
		return endsOf[name]
	}
	for _, vertex := range g {
		last := visit(vertex.Name, "")
		if !needed[vertex.Name] {
			ends = append(ends, last...)
		}
	}
	return ends
}

func addTo(flow *members, node Node, after []uint32) []uint32 {
	if node == nil {
		return flow.fail("a node is nil")
	}
	return node.add(flow, slices.Clip(after))
}
