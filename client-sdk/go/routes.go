package drover

import (
	"context"

	droverv1 "github.com/drover-dev/drover/proto/gen/go/drover/v1"
)

// Route is a rule, kept by the broker, that says where jobs of a task go. The first that matches counts; what a submit
// says itself wins over it.
type Route struct {
	// Unique over all owners.
	Name string
	// Glob on the task's name: `*` = any characters, `?` = one.
	Task string
	// Labels that the job must bear, values as globs.
	Labels map[string]string
	// What it sets: at least one of the two; "" and nil = left open.
	Queue    string
	Priority *int
	// Who declared it; set in answers.
	Owner string
}

// RoutesPut is what a PutRoutes changed, by name.
type RoutesPut struct{ Added, Changed, Removed []string }

// PutRoutes replaces an owner's routes as a whole (normally an application's, at its start), tried in this order; owners
// in the order of their names. It holds for every broker once this has answered. ErrOwnedByAnother for a name that
// another owner has.
func (c *Client) PutRoutes(ctx context.Context, owner string, routes []Route) (RoutesPut, error) {
	request := &droverv1.PutRoutesRequest{Owner: owner}
	for _, route := range routes {
		wire := &droverv1.Route{Name: route.Name, Task: route.Task, Labels: route.Labels}
		if route.Queue != "" {
			wire.Queue = &route.Queue
		}
		if route.Priority != nil {
			priority := wireNumber(*route.Priority)
			wire.Priority = &priority
		}
		request.Routes = append(request.Routes, wire)
	}
	answer, err := call(ctx, c, 0, c.queues.PutRoutes, request)
	if err != nil {
		return RoutesPut{}, err
	}
	return RoutesPut{answer.GetAdded(), answer.GetChanged(), answer.GetRemoved()}, nil
}

// Routes lists the routes of all owners in the order in which they are tried.
func (c *Client) Routes(ctx context.Context) ([]Route, error) {
	answer, err := call(ctx, c, 0, c.queues.ListRoutes, &droverv1.ListRoutesRequest{})
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, wire := range answer.GetRoutes() {
		route := Route{
			Name: wire.GetName(), Task: wire.GetTask(), Labels: wire.GetLabels(), Queue: wire.GetQueue(), Owner: wire.GetOwner(),
		}
		if wire.Priority != nil {
			priority := int(wire.GetPriority())
			route.Priority = &priority
		}
		routes = append(routes, route)
	}
	return routes, nil
}
