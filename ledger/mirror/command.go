package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"sideledger/ledger/journal"
)

// commandGrace is how long a command's pipes may stay open after it has ended or was killed.
const commandGrace = 2 * time.Second

// A Command is a mirror behind a program: it is run once for each write, gets the lines of a mirror on its stdin, and
// says with exit status 0 that they are durable. It cannot be read back.
type Command struct {
	argv []string
	mu   sync.Mutex // one run at a time
}

// NewCommand returns the mirror behind a program. argv is never given to a shell.
func NewCommand(argv []string) (*Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("mirror command: want a program and its arguments")
	}
	return &Command{argv: argv}, nil
}

// Name implements [Sink].
func (c *Command) Name() string { return "command:" + strings.Join(c.argv, " ") }

// Close implements [Sink].
func (c *Command) Close() error { return nil }

// Write implements [Sink].
func (c *Command) Write(ctx context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error {
	lines, err := linesOf(keys, records)
	if err != nil {
		return err
	}
	return c.run(ctx, lines)
}

// WriteSigned implements [Sink].
func (c *Command) WriteSigned(ctx context.Context, s journal.SignedHead) error {
	var b bytes.Buffer
	if err := journal.WriteSigned(&b, s); err != nil {
		return err
	}
	return c.run(ctx, b.Bytes())
}

// run starts the program in a process group of its own, so that its children go with it.
func (c *Command) run(ctx context.Context, lines []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...) //nolint:gosec // argv stands in the server's configuration
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(lines), io.Discard, io.Discard
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = commandGrace
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the mirror's command: %w", err)
	}
	return nil
}
