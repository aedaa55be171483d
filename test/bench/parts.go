package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// part is a measurement that can be selected with -only.
type part struct {
	name    string
	measure func(context.Context, *lab, *report) error
}

// group holds the parts that share a lab, in their order: each leaves
// the state that the next needs.
type group struct {
	name  string
	parts []part
}

const (
	operatorGroup = "operator"
	serviceGroup  = "service"

	partMemory        = "memory"
	partExchange      = "exchange-cpu"
	partServiceMemory = "service-memory"
	partLogin         = "login"
)

var groups = []group{
	{operatorGroup, []part{
		{"issue", measureIssue},
		{"rotate", measureRotation},
		{"restart", measureRestart},
		{partMemory, measureMemory},
		{"reconcile", measureReconcile},
	}},
	{serviceGroup, []part{
		{partExchange, ofService(measureExchangeCPU)},
		{"exchange-rate", ofService(measureExchangeRate)},
		{"one-time", ofService(measureOneTime)},
		{"revoke", ofService(measureRevoke)},
		{"use-writes", ofService(measureUses)},
		{partLogin, ofService(measureLogin)},
		// The last part, since its many keys would affect all others.
		{partServiceMemory, ofService(measureServiceMemory)},
	}},
}

// ofService is a part that needs the token service.
func ofService(measure func(context.Context, *service, *report) error) func(context.Context, *lab, *report) error {
	return func(ctx context.Context, l *lab, r *report) error {
		if l.service == nil {
			s, err := openService(ctx, l)
			if err != nil {
				return err
			}
			l.service = s
		}
		return measure(ctx, l.service, r)
	}
}

func groupNames() (names []string) {
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

func partNames() (names []string) {
	for _, g := range groups {
		names = append(names, g.partNames()...)
	}
	return names
}

func (g *group) partNames() (names []string) {
	for _, part := range g.parts {
		names = append(names, part.name)
	}
	return names
}

// chosenParts returns the parts that -only selects.
func chosenParts(only string) ([]string, error) {
	if only == "" {
		return partNames(), nil
	}
	var chosen []string
	for name := range strings.SplitSeq(only, ",") {
		at := slices.Index(groupNames(), name)
		switch {
		case at >= 0:
			chosen = append(chosen, groups[at].partNames()...)
		case slices.Contains(partNames(), name):
			chosen = append(chosen, name)
		default:
			return nil, fmt.Errorf("-only %s: the parts are %s", name, strings.Join(partNames(), ", "))
		}
	}
	return chosen, nil
}

// measure runs the selected parts of a group in a lab of their own.
func (g *group) measure(ctx context.Context, s *settings, r *report) (err error) {
	if !slices.ContainsFunc(g.partNames(), func(name string) bool { return slices.Contains(s.only, name) }) {
		return nil
	}
	l, err := openLab(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(context.WithoutCancel(ctx))) }()
	for _, part := range g.parts {
		if !slices.Contains(s.only, part.name) {
			continue
		}
		progress("--- %s", part.name)
		if err := part.measure(ctx, l, r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.machine = describeMachine(l)
	return nil
}
