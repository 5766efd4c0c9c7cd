package powerdns

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"sideledger/ledger"
)

// unguarded says why the way from one state of a set to another cannot go by an update with prerequisites; "" if it
// can. A state that is nil is absence, or not known.
func (r *Remediator) unguarded(n name, states ...*rrset) string {
	switch {
	case r.updater == nil:
		return "the system names no dnsupdate, and PowerDNS's API has no conditional write"
	case n.kind == "SOA", n.owner == n.zone && n.kind == "NS":
		return "an update does not replace the SOA and the NS records of a zone (RFC 2136, 3.4.2)"
	}
	for _, s := range states {
		if s == nil {
			continue
		}
		if s.hasDisabled() {
			return "an update knows no records that are disabled"
		}
		for _, rec := range s.Records {
			if parseRecord(n, 0, rec.Content) == nil {
				return "an update cannot carry this type, or what it holds"
			}
		}
	}
	return ""
}

// parseRecord reads a record that an update can carry and whose prerequisite PowerDNS, which compares texts, can
// meet; nil if it is none. A backslash is written in more than one way.
func parseRecord(n name, ttl uint32, content string) dns.RR {
	code, known := dns.StringToType[n.kind]
	if !known || code == dns.TypeANY || strings.ContainsAny(content, "\\\n\r") {
		return nil
	}
	rr, err := dns.NewRR(n.owner + " 0 IN " + n.kind + " " + content)
	if err != nil || rr == nil || rr.Header().Rrtype != code {
		return nil
	}
	rr.Header().Ttl = ttl
	return rr
}

// update is the message that turns a set into another, if it is still what was seen: one prerequisite for the whole
// set by its values, or for its absence. A nil set is absence.
func update(n name, now, wanted *rrset) *dns.Msg {
	m := new(dns.Msg).SetUpdate(n.zone)
	set := []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: n.owner, Rrtype: dns.StringToType[n.kind]}}}
	if now == nil {
		m.RRsetNotUsed(set)
	} else {
		m.Used(records(n, now))
		m.RemoveRRset(set)
	}
	if wanted != nil {
		m.Insert(records(n, wanted))
	}
	return m
}

// records are those of a set that [Remediator.unguarded] let pass.
func records(n name, s *rrset) (list []dns.RR) {
	for _, rec := range s.Records {
		list = append(list, parseRecord(n, *s.TTL, whole(n.kind, rec.Content)))
	}
	return list
}

// answered says what the code of an answer means (RFC 2136, 2.2).
func answered(rcode int, residue []string) ledger.Answer {
	out := ledger.Answer{Class: ledger.AnswerRefused, Detail: "answered " + dns.RcodeToString[rcode]}
	switch rcode {
	case dns.RcodeSuccess:
		return ledger.Answer{Class: ledger.AnswerAccepted, Residue: residue}
	case dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeNameError:
		out.Class = ledger.AnswerConflict
	case dns.RcodeServerFailure:
		out.Class = ledger.AnswerFailed
	case dns.RcodeNotAuth, dns.RcodeNotZone:
		out.Detail += ": the name server does not serve this zone"
	}
	return out
}

// script shows an update as what nsupdate takes.
func script(m *dns.Msg) (lines []string) {
	lines = append(lines, "zone "+m.Question[0].Name)
	for _, rr := range m.Answer {
		h := rr.Header()
		line := "yxrrset " + h.Name + " IN " + dns.TypeToString[h.Rrtype] + " " + content(rr)
		if h.Class == dns.ClassNONE {
			line = "nxrrset " + h.Name + " IN " + dns.TypeToString[h.Rrtype]
		}
		lines = append(lines, "prereq "+line)
	}
	for _, rr := range m.Ns {
		if rr.Header().Class == dns.ClassANY {
			lines = append(lines, "update delete "+rr.Header().Name+" "+dns.TypeToString[rr.Header().Rrtype])
			continue
		}
		lines = append(lines, "update add "+strings.Join(slices.Concat(strings.Fields(rr.Header().String()), []string{content(rr)}), " "))
	}
	return append(lines, "send")
}

func content(rr dns.RR) string {
	return strings.TrimSpace(strings.TrimPrefix(rr.String(), rr.Header().String()))
}
