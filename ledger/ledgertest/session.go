package ledgertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A session is one psql for all that is said to a server beside its tests: a process and a connection for each statement
// take longer than most of them. It is for one statement at a time, and ends with whoever started it.
type session struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors Buffer
}

// said stands behind what a statement shows, with whether it failed.
const said = "--said--"

func (p *Postgres) openSession() (*session, error) {
	s := &session{cmd: exec.Command(filepath.Join(p.bin, "psql"), "-XAtq", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "ledger", "-d", "postgres")}
	s.cmd.Dir, s.cmd.Stderr = p.dir, &s.errors
	s.cmd.Env = append(os.Environ(), "PGOPTIONS=-c synchronous_commit=local") // a test may have a standby that is not there
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred.Credential}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	return s, s.cmd.Start()
}

// sql runs a statement and returns what it shows.
func (s *session) sql(statement string) (string, error) {
	if _, err := fmt.Fprintf(s.in, "%s;\n\\echo %s :ERROR\n", statement, said); err != nil {
		return "", errors.Join(err, errors.New(s.errors.String()))
	}
	var shown strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", statement, err, s.errors.String())
		}
		failed, last := strings.CutPrefix(line, said+" ")
		switch {
		case !last:
			shown.WriteString(line)
		case strings.TrimSpace(failed) == "true":
			return "", fmt.Errorf("%s: %s", statement, s.errors.String())
		default:
			return strings.TrimSpace(shown.String()), nil
		}
	}
}

func (s *session) close() error {
	return errors.Join(s.in.Close(), s.cmd.Wait())
}
