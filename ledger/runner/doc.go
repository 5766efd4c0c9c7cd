// Package runner works on rollbacks durably: it claims a run with a lease and an epoch, walks its window
// from the newest entry to the oldest, and writes every step before and after it. The truth is in the
// store; a runner that dies leaves nothing but an open attempt, which the next one settles by looking.
//
// Which run is due is told by a [Waker]. Losing a wake-up is harmless: a start and a slow sweep find every
// run that is not over.
package runner
