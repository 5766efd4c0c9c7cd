package plugin

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// olderCalls are refused calls that this machine does not have.
var olderCalls []uintptr
