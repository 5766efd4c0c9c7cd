package plugin

import (
	"golang.org/x/sys/unix"
)

// refusedCalls answer EPERM whatever their arguments: each reaches beyond the process, or past its limits.
var refusedCalls = []uintptr{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_SETSID, unix.SYS_SETPGID, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_PIDFD_GETFD, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_MSGGET, unix.SYS_SEMGET, unix.SYS_MQ_OPEN,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_SETRLIMIT, unix.SYS_SETPRIORITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_SETAFFINITY,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_KEXEC_LOAD, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME,
	unix.SYS_SETDOMAINNAME, unix.SYS_SYSLOG, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_FANOTIFY_INIT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_SETXATTR, unix.SYS_LSETXATTR,
	unix.SYS_FSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
}

// Offsets in struct seccomp_data; arguments are taken by their lower half, which is the first on the machines that
// the filter knows.
const (
	atCall = 0
	atArch = 4
	atArgs = 16
	half   = 4
)

// A program is a filter in the making.
type program []unix.SockFilter

func (p *program) add(code uint16, k uint32, yes, no uint8) {
	*p = append(*p, unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k})
}

func (p *program) load(offset uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }

func (p *program) answer(what uint32) { p.add(unix.BPF_RET|unix.BPF_K, what, 0, 0) }

func (p *program) loadArg(n int) { p.load(atArgs + 8*uint32(n)) } //nolint:gosec // 0 to 5

func refusal(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e)&unix.SECCOMP_RET_DATA } //nolint:gosec // numbers of errors are small

// equals goes on with the next n instructions when the loaded word is k, and behind them otherwise.
func (p *program) equals(k uintptr, n uint8) {
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, uint32(k), 0, n) //nolint:gosec // numbers of calls are small
}

// filter is what a plugin may ask of the kernel, for this process.
func filter(pid int) program {
	var p program
	p.load(atArch)
	p.equals(auditArch, 1)
	p.add(unix.BPF_JMP|unix.BPF_JA, 1, 0, 0)
	p.answer(unix.SECCOMP_RET_KILL_PROCESS)
	p.load(atCall)
	p.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, 1<<30, 0, 1) // another numbering of the same calls (x32)
	p.answer(unix.SECCOMP_RET_KILL_PROCESS)
	for _, call := range append(refusedCalls, olderCalls...) {
		p.equals(call, 1)
		p.answer(refusal(unix.EPERM))
	}
	p.equals(unix.SYS_CLONE3, 1) // its flags are behind a pointer; libraries fall back to clone
	p.answer(refusal(unix.ENOSYS))
	p.threadsOnly()
	p.privateMemoryOnly()
	p.ownSignalsOnly(pid)
	p.ownLimitsUntouched()
	p.answer(unix.SECCOMP_RET_ALLOW)
	return p
}

// threadsOnly refuses a clone that is no thread of this process.
func (p *program) threadsOnly() {
	p.equals(unix.SYS_CLONE, 4)
	p.loadArg(0)
	p.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, unix.CLONE_THREAD, 1, 0)
	p.answer(refusal(unix.EPERM))
	p.answer(unix.SECCOMP_RET_ALLOW)
}

// privateMemoryOnly refuses shared memory without a file: no limit of a process counts it.
func (p *program) privateMemoryOnly() {
	p.equals(unix.SYS_MMAP, 5)
	p.loadArg(3)
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, unix.MAP_SHARED|unix.MAP_ANONYMOUS, 0, 0)
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.MAP_SHARED|unix.MAP_ANONYMOUS, 0, 1)
	p.answer(refusal(unix.ENOMEM))
	p.answer(unix.SECCOMP_RET_ALLOW)
}

// ownSignalsOnly lets threads of this process signal each other, and nobody else.
func (p *program) ownSignalsOnly(pid int) {
	p.equals(unix.SYS_TGKILL, 4)
	p.loadArg(0)
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, uint32(pid), 1, 0) //nolint:gosec // a process id is positive
	p.answer(refusal(unix.EPERM))
	p.answer(unix.SECCOMP_RET_ALLOW)
}

// ownLimitsUntouched lets limits be read, and none be set.
func (p *program) ownLimitsUntouched() {
	p.equals(unix.SYS_PRLIMIT64, 6)
	p.loadArg(2)
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 0, 3)
	p.load(atArgs + 8*2 + half)
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 0, 1)
	p.answer(unix.SECCOMP_RET_ALLOW)
	p.answer(refusal(unix.EPERM))
}
