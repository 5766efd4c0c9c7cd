package plugin

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// LaunchArg is the first argument by which a program becomes the launcher; see [Launch].
const LaunchArg = "plugin-launch"

// imageFD is the descriptor under which a launcher finds the executable.
const imageFD = 3

// launching is what a launcher is told, as its arguments.
type launching struct {
	memoryMiB int
	confined  bool
	folders   []string // readable besides those of the system
}

func (l launching) argv() []string {
	return append([]string{"sideledger-plugin", LaunchArg, strconv.Itoa(l.memoryMiB), strconv.FormatBool(l.confined)}, l.folders...)
}

// Launch is what a program does whose first argument is [LaunchArg]: it binds this process to the limits that the
// other arguments name, and becomes the plugin that descriptor 3 holds. It returns only when it could not.
func Launch(args []string) error {
	if len(args) < 2 {
		return errors.New("it is started by ledgerd alone")
	}
	memory, err := strconv.Atoi(args[0])
	if err != nil || memory < 1 {
		return errors.New("the memory bound is no number")
	}
	runtime.LockOSThread() // what follows binds this thread, and the thread becomes the plugin
	if err := prepare(); err != nil {
		return err
	}
	var filter *unix.SockFprog
	if args[1] == "true" {
		if filter, err = confine(args[2:]); err != nil {
			return fmt.Errorf("it cannot be confined here, and plugin.unconfined does not say that it may run all the same: %w", err)
		}
	}
	return become(memory, filter)
}

// prepare sets what does not bind the launcher itself. The plugin dies with the server.
func prepare() error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 64} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit a resource: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("die with the server: %w", err)
	}
	return nil
}

// become bounds the memory, installs the filter (nil: none) and executes the plugin. The bound may be below what
// this launcher has already, so that nothing is allocated after it: three system calls with what is ready.
func become(memoryMiB int, filter *unix.SockFprog) error {
	most := uint64(memoryMiB) << 20 //nolint:gosec // positive
	bound := &unix.Rlimit{Cur: most, Max: most}
	path, err := unix.BytePtrFromString("/proc/self/fd/" + strconv.Itoa(imageFD))
	if err != nil {
		return err
	}
	name, err := unix.BytePtrFromString("plugin")
	if err != nil {
		return err
	}
	argv, envp := []*byte{name, nil}, []*byte{nil}
	//nolint:gosec // system calls take pointers
	var (
		boundAt, filterAt = uintptr(unsafe.Pointer(bound)), uintptr(unsafe.Pointer(filter))
		pathAt            = uintptr(unsafe.Pointer(path))
		argvAt, envpAt    = uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0]))
	)
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_DATA, boundAt, 0, 0, 0)
	if errno == 0 && filter != nil {
		_, _, errno = unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, filterAt)
	}
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, pathAt, argvAt, envpAt)
	}
	runtime.KeepAlive([]any{bound, filter, path, name, argv, envp})
	return fmt.Errorf("it cannot be executed: %w", errno)
}
