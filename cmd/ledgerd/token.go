package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sideledger/ledger"
)

func newToken(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make, list and revoke tokens of the API"}
	cmd.AddCommand(newTokenCreate(e), newTokenList(e), newTokenRevoke(e))
	return cmd
}

type tokenCreateOptions struct {
	configFlags
	role    string
	window  string
	expires time.Duration
}

func newTokenCreate(e *env) *cobra.Command {
	var o tokenCreateOptions
	cmd := &cobra.Command{
		Use: "create --role viewer|recorder|operator|admin", Short: "Make a token and print it, alone, on stdout", Args: cobra.NoArgs,
		Long: "Makes a token and prints it, alone, on stdout. It is valid at once, also for a server that runs; only its hash is kept.",
		Example: "  ledgerd token create --role operator --expires 12h\n" +
			"  ledgerd token create --role recorder --window 0199…",
		RunE: func(cmd *cobra.Command, _ []string) error { return runTokenCreate(cmd, e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.role, "role", "", "viewer, recorder, operator or admin")
	cmd.Flags().StringVar(&o.window, "window", "", "the window that a recorder is bound to")
	cmd.Flags().DurationVar(&o.expires, "expires", 0, "how long it is valid; 0: until it is revoked")
	return cmd
}

func runTokenCreate(cmd *cobra.Command, e *env, o *tokenCreateOptions) error {
	t := ledger.Token{Role: ledger.Role(o.role)}
	if o.window != "" {
		id, err := uuid.Parse(o.window)
		if err != nil {
			return fmt.Errorf("--window: want a window's id")
		}
		t.WindowID = id
	}
	if o.expires < 0 {
		return fmt.Errorf("--expires: want a duration to come")
	}
	if o.expires > 0 {
		t.ExpiresAt = time.Now().UTC().Add(o.expires)
	}
	return withLedger(cmd, e, &o.configFlags, func(l *ledger.Ledger) error {
		secret, _, err := l.CreateToken(cmd.Context(), t)
		if err == nil {
			_, err = fmt.Fprintln(e.stdout, secret)
		}
		return err
	})
}

// withLedger runs fn on the ledger's database, beside a server that may run.
func withLedger(cmd *cobra.Command, e *env, f *configFlags, fn func(*ledger.Ledger) error) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	p, err := open(cmd.Context(), e, c)
	if err != nil {
		return err
	}
	defer p.close()
	return fn(p.ledger)
}

func newTokenList(e *env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withLedger(cmd, e, &f, func(l *ledger.Ledger) error { return listTokens(cmd, e, l) })
		},
	}
	f.AddFlags(cmd.Flags())
	return cmd
}

func listTokens(cmd *cobra.Command, e *env, l *ledger.Ledger) error {
	list, err := l.Tokens(cmd.Context())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tROLE\tWINDOW\tCREATED\tEXPIRES\tREVOKED")
	for _, t := range list {
		window := ""
		if t.WindowID != uuid.Nil {
			window = t.WindowID.String()
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Role, dash(window), when(t.CreatedAt), when(t.ExpiresAt), when(t.RevokedAt))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

func newTokenRevoke(e *env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withLedger(cmd, e, &f, func(l *ledger.Ledger) error { return l.RevokeToken(cmd.Context(), args[0]) })
		},
	}
	f.AddFlags(cmd.Flags())
	return cmd
}
