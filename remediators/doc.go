// Package remediators binds the configured third parties to the plugins that look at them and undo
// what was done there, and holds the one outgoing client that all of them share.
//
// A [Registry] is made from configuration and implements [ledger.Systems]. Each system has a [Lane]
// (its pace, its breaker, whether it is parked) and, where it has an address, a [Client]: the only
// way out. The client adds the credential, checks every address at the moment it is dialled, keeps
// every path below the system's URL, follows no redirect, sends nothing twice, and says of every call
// what is known about it in the words of [ledger.CallError].
package remediators
