package remediatortest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sideledger/ledger"
)

// A T is what a check needs of its test: a *testing.T under `go test`, a report elsewhere; see [Grade].
type T interface {
	Reporter
	Ending
	Context() context.Context // ends just before what Cleanup names
	Run(name string, fn func(T))
}

// A Reporter is told what is wrong. Fatal and Fatalf do not return.
type Reporter interface {
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// bind makes the remediator of a test.
func (s Subject) bind(t T, th *Third) ledger.Remediator {
	if g, ok := t.(goTest); ok {
		return s.BindFunc(g.T, th)
	}
	return s.BindToFunc(t, th)
}

// goTest is a test under `go test`.
type goTest struct{ *testing.T }

// Run implements [T].
func (g goTest) Run(name string, fn func(T)) {
	g.T.Run(name, func(t *testing.T) { fn(goTest{t}) })
}

// A Mark is how one check ended.
type Mark struct {
	Check string   // "Classified/502"
	Why   []string // what is wrong; empty: it passed
}

// Grade holds a remediator to the contract of [ledger.Remediator] outside `go test`, with the checks of [Run], and
// calls each after every single one of them. s.BindToFunc makes the remediator. It returns whether all passed, or the
// end of ctx.
func Grade(ctx context.Context, s Subject, each func(Mark)) (passed bool, err error) {
	passed = true
	for _, c := range s.checks() {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		root := &grading{ctx: ctx, each: each}
		root.Run(c.name, c.fn)
		passed = passed && !root.failed
	}
	return passed, ctx.Err()
}

// A grading is one check outside `go test`. It is for one goroutine.
type grading struct {
	ctx    context.Context
	name   string
	each   func(Mark)
	why    []string
	parts  int // checks below it that were run
	failed bool
	ends   []func()
}

// Run implements [T].
func (g *grading) Run(name string, fn func(T)) {
	if name == string(Well) {
		name = "well"
	}
	ctx, cancel := context.WithCancel(g.ctx)
	part := &grading{ctx: ctx, name: strings.TrimPrefix(g.name+"/"+name, "/"), each: g.each}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer part.end(cancel)
		fn(part)
	}()
	<-over
	g.parts++
	g.failed = g.failed || part.failed
	if part.parts == 0 || len(part.why) > 0 {
		g.each(Mark{Check: part.name, Why: part.why})
	}
}

// end runs what was to be run at the end, the newest first, and keeps a panic from ending the others.
func (g *grading) end(cancel context.CancelFunc) {
	if v := recover(); v != nil {
		g.Errorf("it panicked: %v", v)
	}
	cancel()
	for _, f := range slices.Backward(g.ends) {
		f()
	}
}

// Helper implements [T].
func (*grading) Helper() {}

// Cleanup implements [T].
func (g *grading) Cleanup(end func()) { g.ends = append(g.ends, end) }

// Context implements [T].
func (g *grading) Context() context.Context { return g.ctx }

// Error implements [T].
func (g *grading) Error(args ...any) {
	g.failed = true
	g.why = append(g.why, strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
}

// Errorf implements [T].
func (g *grading) Errorf(format string, args ...any) { g.Error(fmt.Sprintf(format, args...)) }

// Fatal implements [T].
func (g *grading) Fatal(args ...any) {
	g.Error(args...)
	runtime.Goexit()
}

// Fatalf implements [T].
func (g *grading) Fatalf(format string, args ...any) { g.Fatal(fmt.Sprintf(format, args...)) }
