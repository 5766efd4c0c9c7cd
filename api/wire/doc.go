// Package wire has the request and response bodies of the API, shared by its server and its client.
//
// Ids are UUIDv7 in their 36-character form. Times are RFC 3339 in UTC. Durations are Go strings
// ("30m"). Fields of type [json.RawMessage] hold JSON byte for byte: literals, escapes and key order as
// posted. In them nothing at all (a nil slice, a member that is left out) and null are two things:
// an image that is left out is not known, an image that is null says that the resource is not there.
//
// The types read and write the same with encoding/json and with its successor. Members are left out
// only where the comment says so.
package wire
