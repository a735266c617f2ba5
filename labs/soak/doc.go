// Package soak plays the seeded tests of a stage with many more seeds than a grade has time for.
//
//	tests x seeds ── take a span ──► one process: -seed=A -seeds=N ── passed ──► counted
//	     ▲                                      │
//	     │                                      ├ failed at seed S: before it counted; S alone and the rest go back
//	     └──────── halves, or the rest ─────────┴ ended without naming a seed: both halves go back, down to one seed
//
// What always holds:
//
//  1. Every seed counts once, in whatever order spans are played and however they are cut.
//  2. A failure is told once, with the one seed that causes it, even if the process crashed or hung before it could name
//     one. What is told comes from a process that played this seed alone, unless it did not fail there or time was over.
//  3. A test that failed Options.MaxFailures times, or that meets a function not written yet, is given up, and Result
//     says so.
//  4. When the context is cancelled, Run returns as soon as the processes have ended, and knows what was played till
//     then.
//
// Example:
//
//	result := soak.Run(ctx, soak.Options{Tests: stage.Tests, Seeds: 10_000, Play: play, Failed: keep})
//	fmt.Println(result.Done, "seeds,", result.Failures, "failures")
//
// It leaves out what a test demands to have seen over all its own seeds ("this never happened"): that is for the
// grade, since it says nothing of one seed.
package soak
