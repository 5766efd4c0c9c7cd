package api

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"sideledger/ledger"
)

// ranks orders the roles that include each other. A recorder stands outside: see [recorderRule].
var ranks = map[ledger.Role]int{ledger.RoleViewer: 1, ledger.RoleOperator: 2, ledger.RoleAdmin: 3}

// authenticate says whose token the request carries. Failures of one address are counted; beyond the
// limit they are answered with rate_limited. A valid token always passes: a stranger's failures on a
// shared address lock nobody out.
func (a *API) authenticate(c echo.Context) (ledger.Actor, error) {
	scheme, secret, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
	err := error(&ledger.Error{Code: ledger.CodeUnauthenticated, Op: "authenticate"})
	if strings.EqualFold(scheme, "Bearer") && secret != "" {
		var actor ledger.Actor
		if actor, err = a.ledger.Authenticate(c.Request().Context(), secret); err == nil {
			return actor, nil
		}
	}
	if ledger.CodeOf(err) == ledger.CodeUnauthenticated && !a.guard.allow(c.RealIP()) {
		return ledger.Actor{}, &ledger.Error{
			Code: ledger.CodeRateLimited, Op: "authenticate", RetryAfter: guardPause,
			Msg: "too many requests without a valid token from this address",
		}
	}
	return ledger.Actor{}, err
}

const (
	guardPause = time.Second // one more failure is taken in this time
	guardBurst = 200
	guardSize  = 10_000 // addresses that are remembered
)

// A guard counts failed authentications by address.
type guard struct {
	clock ledger.Clock
	mu    sync.Mutex
	byIP  map[string]*rate.Limiter
}

func newGuard(clock ledger.Clock) *guard {
	return &guard{clock: clock, byIP: map[string]*rate.Limiter{}}
}

// allow counts one failure and reports whether it is within the limit.
func (g *guard) allow(ip string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.byIP[ip]
	if l == nil {
		if len(g.byIP) >= guardSize {
			clear(g.byIP)
		}
		l = rate.NewLimiter(rate.Every(guardPause), guardBurst)
		g.byIP[ip] = l
	}
	return l.AllowN(g.clock.Now(), 1)
}

// authorize checks the actor's role against a route.
func authorize(r route, actor ledger.Actor) error {
	forbidden := &ledger.Error{Code: ledger.CodeForbidden, Op: "authorize"}
	if actor.Role == ledger.RoleRecorder {
		if r.recorder == recorderNever {
			return forbidden
		}
		return nil
	}
	if ranks[actor.Role] == 0 || ranks[actor.Role] < ranks[r.role] {
		return forbidden
	}
	return nil
}

// bind holds a recorder to its window and to its own entries. What is outside does not exist for it.
func (a *API) bind(ctx context.Context, r route, in *call) error {
	if in.actor.Role != ledger.RoleRecorder {
		return nil
	}
	switch r.recorder {
	case recorderWindow, recorderList:
		if in.id != in.actor.WindowID {
			return ledger.NotFound("window", in.id.String())
		}
	case recorderEntry, recorderOwn:
		if err := a.bindEntry(ctx, r, in); err != nil {
			return err
		}
	case recorderNever:
		return &ledger.Error{Code: ledger.CodeForbidden, Op: "authorize"}
	}
	if r.recorder == recorderList || r.recorder == recorderOwn {
		return a.tokenLives(ctx, in.actor)
	}
	return nil
}

func (a *API) bindEntry(ctx context.Context, r route, in *call) error {
	e, err := a.ledger.Entry(ctx, in.id)
	if err != nil {
		return err
	}
	if e.WindowID != in.actor.WindowID || r.recorder == recorderOwn && e.RecordedBy != in.actor.TokenID {
		return ledger.NotFound("entry", in.id.String())
	}
	return nil
}

// tokenLives refuses reads by a recorder whose window is over: its token ended with the window, but for
// late facts.
func (a *API) tokenLives(ctx context.Context, actor ledger.Actor) error {
	w, err := a.ledger.Window(ctx, actor.WindowID)
	if err != nil {
		return err
	}
	switch w.State {
	case ledger.WindowKept, ledger.WindowRolledBack:
		return &ledger.Error{Code: ledger.CodeUnauthenticated, Op: "authorize", Msg: "this token ended with its window; it still takes late facts"}
	case ledger.WindowOpen, ledger.WindowSealed, ledger.WindowRollingBack, ledger.WindowStuck:
		return nil
	default:
		return nil
	}
}
