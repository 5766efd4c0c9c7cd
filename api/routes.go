package api

import (
	"net/http"

	"sideledger/ledger"
)

// A route is one call: who may make it, and what answers.
type route struct {
	method string
	path   string
	role   ledger.Role // the least role; empty: no token at all
	// recorder says what a recorder may do here, whatever role says.
	recorder recorderRule
	stream   bool  // the answer comes in pieces and may take long
	looks    bool  // a POST that changes nothing
	fact     bool  // it may report an effect that is there: never refused, see aside
	limit    int64 // bytes of the body; 0: maxBody
	run      exec
}

// A recorderRule binds a recorder's token.
type recorderRule int

const (
	recorderNever  recorderRule = iota
	recorderWindow              // {id} is the window that its token is bound to
	recorderList                // as recorderWindow; it sees its own entries only
	recorderEntry               // {id} is an entry of that window
	recorderOwn                 // {id} is an entry of that window that its own token recorded
)

// routes is the table of all calls. A test holds it to openapi.yaml, both ways.
func (a *API) routes() []route {
	const (
		open     = ledger.Role("")
		viewer   = ledger.RoleViewer
		operator = ledger.RoleOperator
		get      = http.MethodGet
		post     = http.MethodPost
	)
	return []route{
		{method: get, path: "/v1/windows", role: viewer, run: reads(a.listWindows)},
		{method: post, path: "/v1/windows", role: operator, run: changes(a.openWindow, windowOpened)},
		{method: get, path: "/v1/windows/:id", role: viewer, run: reads(a.getWindow)},
		{method: post, path: "/v1/windows/:id/seal", role: operator, run: changes(a.sealWindow, windowAnswer)},
		{method: post, path: "/v1/windows/:id/reopen", role: operator, run: changes(a.reopenWindow, windowAnswer)},
		{method: post, path: "/v1/windows/:id/keep", role: operator, run: changes(a.keepWindow, windowAnswer)},
		{method: get, path: "/v1/windows/:id/events", role: viewer, stream: true, run: streams(a.windowEvents)},
		{method: get, path: "/v1/windows/:id/journal", role: viewer, stream: true, run: streams(a.windowJournal)},

		{method: get, path: "/v1/windows/:id/entries", role: viewer, recorder: recorderList, run: reads(a.listEntries)},
		{method: post, path: "/v1/windows/:id/entries", role: operator, recorder: recorderWindow, fact: true, run: changes(a.recordEntry, entryRecorded)},
		{
			method: post, path: "/v1/windows/:id/entries/batch", role: operator, recorder: recorderWindow, fact: true, limit: maxBatch,
			run: changes(a.recordBatch, batchRecorded),
		},
		{method: get, path: "/v1/windows/:id/effects", role: viewer, recorder: recorderWindow, run: reads(a.listEffects)},
		{
			method: post, path: "/v1/windows/:id/effects", role: operator, recorder: recorderWindow, limit: maxEffect,
			run: settles(a.makeEffect, effectMade, a.shownEffect),
		},
		{method: get, path: "/v1/entries/:id", role: viewer, recorder: recorderOwn, run: reads(a.getEntry)},
		{method: post, path: "/v1/entries/:id/applied", role: operator, recorder: recorderEntry, fact: true, run: changes(a.reportApplied, entryAnswer)},
		{method: post, path: "/v1/entries/:id/void", role: operator, recorder: recorderEntry, run: changes(a.voidEntry, entryAnswer)},
		{method: post, path: "/v1/entries/:id/renew", role: operator, recorder: recorderEntry, run: changes(a.renewEntry, entryAnswer)},
		{method: post, path: "/v1/entries/:id/resolve", role: operator, run: settles(a.resolveEntry, entryAnswer, a.awaitEntry)},

		{method: get, path: "/v1/windows/:id/plan", role: operator, stream: true, run: streams(a.planWindow)},
		{method: post, path: "/v1/windows/:id/verify", role: operator, looks: true, run: changes(a.verifyWindow, verified)},
		{method: post, path: "/v1/windows/:id/rollbacks", role: operator, run: settles(a.startRollback, rollbackStarted, a.awaitRollback)},
		{method: get, path: "/v1/rollbacks/:id", role: viewer, run: reads(a.getRollback)},
		{method: post, path: "/v1/rollbacks/:id/pause", role: operator, run: changes(a.pauseRollback, rollbackAnswer)},
		{method: post, path: "/v1/rollbacks/:id/resume", role: operator, run: changes(a.resumeRollback, rollbackAnswer)},
		{method: post, path: "/v1/rollbacks/:id/cancel", role: operator, run: changes(a.cancelRollback, rollbackAnswer)},
		{method: post, path: "/v1/rollbacks/:id/confirm", role: operator, run: changes(a.confirmRollback, rollbackAnswer)},
		{method: get, path: "/v1/rollbacks/:id/events", role: viewer, stream: true, run: streams(a.rollbackEvents)},

		{method: post, path: "/v1/rehearsals", role: operator, run: settles(a.rehearse, rehearsalAnswer, a.awaitRehearsal)},
		{method: get, path: "/v1/windows/:id/rehearsal", role: operator, run: reads(a.getRehearsal)},
		{method: get, path: "/v1/windows/:id/unrecorded", role: operator, run: reads(a.listUnrecorded)},

		{method: get, path: "/v1/head", role: viewer, run: reads(a.signedHead)},
		{method: get, path: "/v1/systems", role: viewer, run: reads(a.listSystems)},
		{method: get, path: "/v1/remediators", role: viewer, run: reads(a.listRemediators)},
		{method: get, path: "/livez", role: open, run: reads(a.live)},
		{method: get, path: "/readyz", role: open, run: reads(a.ready)},
		{method: get, path: "/version", role: open, run: reads(a.version)},
		{method: get, path: "/metrics", role: viewer, run: reads(a.showMetrics)},
		{method: get, path: "/openapi.json", role: viewer, run: reads(a.openapi)},
		{method: get, path: "/docs", role: viewer, run: reads(a.showDocs)},
	}
}
