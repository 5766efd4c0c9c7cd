//go:build !linux

package plugin

import "errors"

// LaunchArg is the first argument by which a program becomes the launcher; see [Launch].
const LaunchArg = "plugin-launch"

// Launch is what a program does whose first argument is [LaunchArg]. Here nothing can keep a plugin within bounds.
func Launch([]string) error { return errors.New("plugins run on Linux only") }

type launching struct {
	memoryMiB int
	confined  bool
	folders   []string
}

func (l launching) argv() []string { return []string{"sideledger-plugin", LaunchArg} }
