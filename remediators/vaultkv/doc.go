// Package vaultkv is the remediator of secrets in a KV engine, version 2, of Vault or OpenBao. It is code and not a
// profile: an undo reads the old version of a secret and writes it as a new one, and the value is kept nowhere on the way.
package vaultkv
