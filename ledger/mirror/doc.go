// Package mirror keeps a ledger's journal records somewhere else than the ledger: in folders on other storage, at an
// HTTP sink, or with a command. A record is in the mirror before the call that made it is answered, so that a ledger
// whose own host was restored from a snapshot can be made again, and a ledger that is older than its mirror is found out.
//
// A folder holds segments, files of JSON lines that are only ever added to. A line is a line of a journal file,
//
//	{"hash":"<64 hex>","record":<the stored bytes>}
//
// or a signed head of all windows ([journal.SignedHead]):
//
//	{"signed":{"note":"…","first":N,"leaves":[…]}}
//
// or a key of secret fields, wrapped ([journal.WrappedKey]), which stands before the first record that needs it:
//
//	{"key":{"root":"<base64>"}}
//	{"key":{"entry_id":"…","data_key":"<base64>"}}
//
// [journal.ReadMirror] reads them.
package mirror
