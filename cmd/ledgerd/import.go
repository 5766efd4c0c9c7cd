package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api"
	"sideledger/api/wire"
	"sideledger/ledger"
)

func newImport(e *env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "import DIR", Short: "Take in what was recorded with ROLLBACK_URL=file:DIR", Args: cobra.ExactArgs(1),
		Long: `Takes in the journal files that the rollback command wrote with ROLLBACK_URL=file:DIR, in order. Every line goes the
way a request would; a file that was taken in is renamed to NAME.imported, and an import that was interrupted is
simply run again. It prints the windows that it opened, one id a line.`,
		RunE: func(cmd *cobra.Command, args []string) error { return runImport(cmd, e, &f, args[0]) },
	}
	f.AddFlags(cmd.Flags())
	return cmd
}

func runImport(cmd *cobra.Command, e *env, f *configFlags, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("import: there is no journal file (*.jsonl) in %s", dir)
	}
	slices.Sort(files)
	c, err := f.load()
	if err != nil {
		return err
	}
	p, err := open(cmd.Context(), e, c)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.watch(cmd.Context(), e, false); err != nil {
		return err
	}
	i, err := newImporter(cmd.Context(), p, dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := i.file(cmd.Context(), e, file); err != nil {
			return fmt.Errorf("import %s: %w", filepath.Base(file), err)
		}
	}
	return i.done(cmd.Context())
}

// An importer sends spooled calls through the API in this process, so that they are read, checked and
// kept exactly as if they had come over the network.
type importer struct {
	parts   *parts
	api     http.Handler
	token   string // id
	secret  string
	keep    string            // file that keeps the secret until everything is taken in
	windows map[string]string // id in the file → id in the ledger
	// lostFunc gives a window in the place of one that is not there any more; nil: that is an error.
	lostFunc func(window string) (string, error)
}

// newImporter returns an importer with a token of its own. The token outlives an interrupted import, since
// first answers are kept by token: the next import gets the same windows again instead of new ones.
func newImporter(ctx context.Context, p *parts, dir string) (*importer, error) {
	i := &importer{parts: p, keep: filepath.Join(dir, ".import-token"), windows: map[string]string{}}
	if err := i.login(ctx); err != nil {
		return nil, err
	}
	a, err := api.New(api.Config{Ledger: p.ledger, Log: p.log, Clock: time.Now, Version: versionText()})
	i.api = a
	return i, err
}

func (i *importer) login(ctx context.Context) error {
	kept, err := os.ReadFile(i.keep)
	if err == nil {
		i.secret = strings.TrimSpace(string(kept))
		if actor, err := i.parts.ledger.Authenticate(ctx, i.secret); err == nil {
			i.token = actor.TokenID
			return nil
		}
	}
	secret, token, err := i.parts.ledger.CreateToken(ctx, ledger.Token{Role: ledger.RoleOperator, ExpiresAt: time.Now().UTC().Add(importTime)})
	if err != nil {
		return err
	}
	i.secret, i.token = secret, token.ID
	return os.WriteFile(i.keep, []byte(secret+"\n"), 0o600)
}

// importTime is how long an interrupted import may be taken up again: as long as first answers are kept.
const importTime = 24 * time.Hour

// done ends the importer's token.
func (i *importer) done(ctx context.Context) error {
	return errors.Join(i.parts.ledger.RevokeToken(ctx, i.token), os.Remove(i.keep))
}

// file takes in one file. A torn last line was never acted on; any other bad line stops the import.
func (i *importer) file(ctx context.Context, e *env, name string) error {
	f, err := os.Open(name) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	spool, err := wire.ReadSpool(f)
	var bad *wire.SpoolError
	switch {
	case errors.As(err, &bad) && bad.Torn:
		_, _ = fmt.Fprintf(e.stderr, "%s: %s; it is left out\n", filepath.Base(name), bad)
	case err != nil:
		return err
	}
	for n, call := range spool.Calls {
		if err := i.send(ctx, e, call); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return os.Rename(name, name+".imported")
}

// importable are the calls that a journal file may have: those that record. A file from elsewhere starts no
// rollback and decides nothing.
var importable = regexp.MustCompile(`^/v1/(windows|windows/[0-9a-fA-F-]{36}/entries(/batch)?|entries/[0-9a-fA-F-]{36}/(applied|void|renew))$`)

// send makes one call under the key that stands in the file.
func (i *importer) send(ctx context.Context, e *env, c wire.SpoolCall) error {
	path, body := c.Path, []byte(c.Body)
	for local, id := range i.windows {
		path = strings.ReplaceAll(path, local, id)
	}
	if !importable.MatchString(path) {
		return errors.New("it is not a call that records: a journal file opens windows, records entries and reports on them")
	}
	req := httptest.NewRequestWithContext(ctx, c.Method, path, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+i.secret)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", c.Key)
	w := httptest.NewRecorder()
	i.api.ServeHTTP(w, req)
	if w.Code == http.StatusNotFound && i.lostFunc != nil {
		return i.sendLost(ctx, e, c)
	}
	if w.Code >= http.StatusBadRequest {
		return fmt.Errorf("%s %s answered %d: %s", c.Method, path, w.Code, strings.TrimSpace(w.Body.String()))
	}
	if c.Makes == "" {
		return nil
	}
	id := strings.TrimPrefix(w.Header().Get("Location"), "/v1/windows/")
	i.windows[c.Makes] = id
	_, err := fmt.Fprintln(e.stdout, id)
	return err
}

// sendLost makes a call again that is about something which was lost. A fact of a lost window goes into another window; a report
// on a lost entry has nothing to stand on: it is said and left in the file.
func (i *importer) sendLost(ctx context.Context, e *env, c wire.SpoolCall) error {
	window, rest, _ := strings.Cut(strings.TrimPrefix(c.Path, "/v1/windows/"), "/")
	if rest == "" || i.windows[window] != "" {
		_, _ = fmt.Fprintf(e.stderr, "left out: %s names an entry that was lost: look at its third party by hand\n", c.Path)
		return nil
	}
	id, err := i.lostFunc(window)
	if err != nil {
		return err
	}
	i.windows[window] = id
	return i.send(ctx, e, c)
}
