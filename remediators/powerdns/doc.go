// Package powerdns is the remediator of PowerDNS's records. It is code and not a profile, since no profile can say
// what an undo needs here: a set of records is written in more than one way, a filtered read hides records that are
// disabled, and the one conditional write is not HTTP but an update with prerequisites (RFC 2136).
package powerdns
