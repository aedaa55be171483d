package commands

import "github.com/refreshkeys/refreshkeys/test/framework/sample"

// The tables of this package use the samples so often that their names are short.
const day = sample.Day

var (
	noon, at, lasting               = sample.Noon, sample.At, sample.Lasting
	issued, ready, stalled, revoked = sample.Issued, sample.Ready, sample.Stalled, sample.Revoked
)
