// Package etcd is the remediator of etcd's keys, through its JSON gateway. It is code and not a profile: reads are
// POSTs, a failed condition is a 200 without a member, keys and values are base64 and numbers strings.
package etcd
