package certificate

import (
	"context"
	"slices"
	"time"
)

// consoleService is the name of the console's Service.
const consoleService = "refreshkeys-console"

// ensureConsole brings the Secret with the console's certificate up to date, unless the user provides it, and returns when to check it
// again. Clients of the token service need no part of it, so that a failure here delays none of them.
func (r *Reconciler) ensureConsole(ctx context.Context) (time.Time, error) {
	now := r.Clock.Now()
	served, found, err := r.read(ctx, r.ConsoleSecret)
	if err != nil {
		return time.Time{}, err
	}
	given, err := r.given(ctx, served, found)
	if err != nil || given {
		return now.Add(certificateCheckInterval), err
	}
	_, next, err := r.issue(ctx, served, found, r.consoleNames(), now)
	return next, err
}

// consoleNames returns the names for the console's certificate: its Service, localhost for a port-forward, and Options.ConsoleNames.
func (r *Reconciler) consoleNames() []string {
	service := consoleService + "." + r.Namespace
	names := append([]string{"localhost", consoleService, service, service + ".svc", service + ".svc.cluster.local"}, r.ConsoleNames...)
	slices.Sort(names)
	return slices.Compact(names)
}

func earlier(one, other time.Time) time.Time {
	if other.Before(one) {
		return other
	}
	return one
}
