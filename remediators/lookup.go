package remediators

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// lookupAtOnce bounds how many names are asked for together.
const lookupAtOnce = 8

// LookUp asks the name servers, once, where the systems' names lead, and says which of them lead to an
// address that will be refused when it is dialled. What it finds is said at recording from then on. A name
// that is not found, or not before ctx ends, says nothing: only what is dialled counts. It may be called again.
func (r *Registry) LookUp(ctx context.Context) []Warning {
	r.mu.RLock()
	var list []*bound
	for _, b := range r.bound {
		if b.client != nil && r.dial == nil {
			list = append(list, b)
		}
	}
	r.mu.RUnlock()
	var (
		mu    sync.Mutex
		out   []Warning
		wg    sync.WaitGroup
		slots = make(chan struct{}, lookupAtOnce)
	)
	for _, b := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if why := b.client.lookUp(ctx); why != "" {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, Warning{b.system.Name, "url", why})
			}
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b Warning) int { return strings.Compare(a.System, b.System) })
	return out
}

// lookUp resolves the host of a system that is written as a name, and keeps what is wrong with it.
func (c *Client) lookUp(ctx context.Context) (why string) {
	host := c.base.Hostname()
	if _, literal := literalHost(host); literal {
		return "" // said when it was configured
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return ""
	}
	why = deniedName(addresses, c.allowPrivate)
	c.warn(why)
	return why
}

// deniedName says which of a name's addresses are refused; "" when none is.
func deniedName(addresses []netip.Addr, allowPrivate bool) string {
	var why string
	bad := 0
	for _, ip := range addresses {
		if w := denied(ip.Unmap(), allowPrivate); w != "" {
			why, bad = w, bad+1
		}
	}
	switch {
	case bad == 0:
		return ""
	case bad < len(addresses):
		return "the name leads to several addresses, and not all may be dialled: " + why
	default:
		return "the name leads elsewhere: " + why
	}
}
