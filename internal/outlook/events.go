package outlook

import (
	"cmp"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
)

// SortEvents sorts events by the time of their last occurrence, oldest first.
func SortEvents(events []eventsv1.Event) {
	slices.SortStableFunc(events, func(a, b eventsv1.Event) int {
		return cmp.Compare(Happened(&a).UnixNano(), Happened(&b).UnixNano())
	})
}

// Happened returns the time of an event's last occurrence.
func Happened(event *eventsv1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	default:
		return event.CreationTimestamp.Time
	}
}
