package remediators

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"sideledger/ledger"
)

// An Updater sends updates (RFC 2136) to the name server of one system, over TCP. It is the only way out besides
// [Client], and keeps the same rules: each address is checked when it is dialled, the lane of the system paces it,
// the credential is read when it is used and reaches no remediator, time and size are bounded, and nothing is sent
// twice. It is safe for concurrent use.
type Updater struct {
	lane   *Lane
	config DNSUpdateConfig
	getenv func(string) string
	dial   DialFunc
}

// newUpdater binds an updater to a system whose configuration has been validated.
func newUpdater(lane *Lane, c SystemConfig, env clientEnv) *Updater {
	u := &Updater{lane: lane, config: c.DNSUpdate, getenv: env.getenv, dial: env.dial}
	if u.dial == nil {
		u.dial = (&net.Dialer{Timeout: dialTimeout, Control: guard(c.AllowPrivate)}).DialContext
	}
	return u
}

// Address is where updates go, host:port.
func (u *Updater) Address() string { return u.config.Address }

// Send sends one update, at most once, and returns the code of the answer. A message that was built wrong panics.
// The error is always a [ledger.CallError]: CallDenied and CallAway (nothing was sent), CallNotSent (no connection
// was made), CallAuth (our address or key was refused), or CallAmbiguous (sent, and no answer came that can be trusted).
func (u *Updater) Send(ctx context.Context, update *dns.Msg) (rcode int, err error) {
	if update.Opcode != dns.OpcodeUpdate || len(update.Question) != 1 {
		panic("not an update")
	}
	leave, err := u.lane.Enter(ctx, true)
	if err != nil {
		return 0, err
	}
	result := ResultNothing
	defer func() { leave(result) }()
	answer, connected, err := u.exchange(ctx, update)
	if err != nil {
		var failure *ledger.CallError
		failure, result = explain(ctx, err, connected)
		return 0, failure
	}
	result = ResultAnswered
	switch {
	case answer.Rcode == dns.RcodeRefused, answer.Rcode == dns.RcodeNotAuth && u.config.Key != "":
		return 0, &ledger.CallError{Class: ledger.CallAuth, Detail: "the name server takes no updates from this address, with this key"}
	case answer.Rcode == dns.RcodeSuccess && u.config.Key != "" && answer.IsTsig() == nil:
		return 0, &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "sent, and the answer is not signed"}
	default:
		return answer.Rcode, nil
	}
}

// exchange makes the exchange. connected says whether a connection was there to send anything on.
func (u *Updater) exchange(ctx context.Context, update *dns.Msg) (answer *dns.Msg, connected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	signed, secrets, err := u.sign(update)
	if err != nil {
		return nil, false, &credentialError{err}
	}
	raw, err := u.dial(ctx, "tcp", u.config.Address)
	if err != nil {
		return nil, false, err
	}
	conn := &dns.Conn{Conn: raw, TsigSecret: secrets}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.WriteMsg(signed); err != nil {
		return nil, true, err
	}
	answer, err = conn.ReadMsg()
	if err != nil {
		return nil, true, err
	}
	if !answer.Response || answer.Id != signed.Id || answer.Opcode != dns.OpcodeUpdate {
		return nil, true, errors.New("the answer is to something else")
	}
	return answer, true, nil
}

// sign returns a copy of the message that is to be signed when it is written, and the key for that.
func (u *Updater) sign(update *dns.Msg) (*dns.Msg, map[string]string, error) {
	out := update.Copy()
	if u.config.Key == "" {
		return out, nil, nil
	}
	secret, err := resolve(u.config.Credential, u.getenv)
	if err != nil {
		return nil, nil, err
	}
	if _, err := base64.StdEncoding.DecodeString(secret.Reveal()); err != nil {
		return nil, nil, fmt.Errorf("the credential %s is not base64", u.config.Credential)
	}
	name := dns.CanonicalName(u.config.Key)
	out.SetTsig(name, tsigAlgorithms[u.config.Algorithm], tsigFudge, u.lane.clock.Now().Unix())
	return out, map[string]string{name: secret.Reveal()}, nil
}

// tsigFudge is how far the clocks of both ends may be apart, in seconds (RFC 8945, 10).
const tsigFudge = 300
