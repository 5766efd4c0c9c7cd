package remediators

import "golang.org/x/sys/unix"

// LimitMemory bounds the private writable memory of a process and of what it starts. A process that is
// gone already is no mistake.
func LimitMemory(pid, mib int) {
	most := uint64(mib) << 20 //nolint:gosec // validated to be positive
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}, nil)
}
