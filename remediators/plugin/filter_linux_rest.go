//go:build linux && !amd64 && !arm64

package plugin

const auditArch = 0

var olderCalls []uintptr
