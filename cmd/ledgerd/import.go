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
	i, err := newImporter(cmd.Context(), p)
	if err != nil {
		return err
	}
	defer i.close(context.WithoutCancel(cmd.Context()))
	for _, file := range files {
		if err := i.file(cmd.Context(), e, file); err != nil {
			return fmt.Errorf("import %s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

// An importer sends spooled calls through the API in this process, so that they are read, checked and
// kept exactly as if they had come over the network.
type importer struct {
	parts   *parts
	api     http.Handler
	token   ledger.Token
	secret  string
	windows map[string]string // id in the file → id in the ledger
}

func newImporter(ctx context.Context, p *parts) (*importer, error) {
	secret, token, err := p.ledger.CreateToken(ctx, ledger.Token{Role: ledger.RoleOperator, ExpiresAt: time.Now().UTC().Add(time.Hour)})
	if err != nil {
		return nil, err
	}
	a, err := api.New(api.Config{Ledger: p.ledger, Log: p.log, Clock: time.Now, Version: versionText()})
	return &importer{parts: p, api: a, token: token, secret: secret, windows: map[string]string{}}, err
}

func (i *importer) close(ctx context.Context) {
	_ = i.parts.ledger.RevokeToken(ctx, i.token.ID) // it expires within the hour anyway
}

// file takes in one file. A torn last line was never acted on; any other bad line stops the import.
func (i *importer) file(ctx context.Context, e *env, name string) error {
	f, err := os.Open(name)
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

// send makes one call. Keys of the file stand under a token that is new with every import, so that what
// makes a repeated import harmless are the entries' own ids, and the map of windows that is kept beside
// the file.
func (i *importer) send(ctx context.Context, e *env, c wire.SpoolCall) error {
	path, body := c.Path, []byte(c.Body)
	for local, id := range i.windows {
		path = strings.ReplaceAll(path, local, id)
	}
	req := httptest.NewRequestWithContext(ctx, c.Method, path, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+i.secret)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", c.Key)
	w := httptest.NewRecorder()
	i.api.ServeHTTP(w, req)
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
