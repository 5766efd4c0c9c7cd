package plugin

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

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
	if err := limit(memory); err != nil {
		return err
	}
	if args[1] == "true" {
		if err := confine(args[2:]); err != nil {
			return fmt.Errorf("it cannot be confined here, and plugin.unconfined does not say that it may run all the same: %w", err)
		}
	}
	err = unix.Exec("/proc/self/fd/"+strconv.Itoa(imageFD), []string{"plugin"}, []string{})
	return fmt.Errorf("it cannot be executed: %w", err)
}

// limit sets the resource limits. It dies with the server.
func limit(memoryMiB int) error {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_DATA: uint64(memoryMiB) << 20, unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 64, //nolint:gosec // positive
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit a resource: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("die with the server: %w", err)
	}
	return nil
}
