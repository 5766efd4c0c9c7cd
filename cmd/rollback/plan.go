package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type planOptions struct {
	selection

	window   string
	out      string
	detailed bool
}

// AddFlags adds the flags to a command.
func (o *planOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "`ID` of the window (ROLLBACK_WINDOW)")
	f.StringVar(&o.out, "out", "", "save the plan in `FILE`, for `rollback --window ID --plan FILE`")
	f.BoolVar(&o.detailed, "detailed-exitcode", false, "exit 2 where there is work to do")
	o.selection.AddFlags(cmd)
}

func newPlan(a *app) *cobra.Command {
	o := new(planOptions)
	cmd := &cobra.Command{
		Use:   "plan --window ID",
		Short: "Show what a rollback would do right now; change nothing",
		Long: long(`
Looks at every third party now and says, entry by entry, newest first, what a rollback would do. Nothing
is written anywhere. -o shell prints the requests as curl lines that a person could send by hand, with
credentials as $VARIABLES.`, exitDone, exitError, exitWork, exitAuth),
		Example: `  rollback plan --window ID
  rollback plan --window ID --out plan.json && rollback --window ID --plan plan.json
  rollback plan --window ID --detailed-exitcode >/dev/null; [ $? -eq 2 ] && echo "there is work to do"
  rollback plan --window ID -o shell > by-hand.sh
  rollback plan --window ID --restore-snapshot`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runPlan(cmd.Context(), cmd, o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runPlan(ctx context.Context, cmd *cobra.Command, o *planOptions) error {
	window, err := a.windowOr(o.window, cmd.Flags().Changed("window"))
	if err != nil {
		return err
	}
	if err := o.selected(cmd); err != nil {
		return err
	}
	if cmd.Flags().Changed("out") && o.out == "" {
		return errors.New("--out is empty")
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	plan, err := a.showPlan(ctx, c, planned{window: window, selection: o.selection, out: o.out})
	if err != nil {
		return err
	}
	if o.detailed && work(plan.Counts) > 0 {
		return exitWith(exitWork)
	}
	return nil
}

// work counts the steps of a plan that need the rollback or a person.
func work(counts map[string]int) int {
	n := 0
	for verdict, count := range counts {
		switch verdict {
		case "already_undone", "retained", "waived", "void":
		default:
			n += count
		}
	}
	return n
}

// planned says which plan to make, and where to save it.
type planned struct {
	selection

	window string
	out    string // empty: nowhere
}

// showPlan makes a plan and shows it on stdout, step by step as it comes in.
func (a *app) showPlan(ctx context.Context, c *client.Client, o planned) (*wire.Plan, error) {
	var keep []wire.PlanStep
	whole := o.out != "" || a.output == formatJSON
	sheet, err := a.planSheet(ctx, c, o)
	if err != nil {
		return nil, err
	}
	plan, err := c.EachStep(ctx, o.window, o.query(), func(s wire.PlanStep) error {
		if whole {
			keep = append(keep, s)
		}
		return sheet.step(&s)
	})
	if err != nil {
		return nil, fmt.Errorf("the plan is not whole: %w", err)
	}
	plan.Steps = keep
	if plan.Steps == nil {
		plan.Steps = []wire.PlanStep{}
	}
	if o.out != "" {
		if err := savePlan(o.out, wire.SavedPlan{Plan: *plan, Selection: o.saved()}); err != nil {
			return nil, err
		}
		a.say("the plan is in %s; run exactly this one:\n  rollback --window %s --plan %s", o.out, plan.WindowID, quote(o.out))
	}
	return plan, sheet.end(plan)
}

// previewPlan shows a plan to the person who is about to be asked: on stderr, as text.
func (a *app) previewPlan(ctx context.Context, c *client.Client, o planned) (*wire.Plan, error) {
	w, err := c.Window(ctx, o.window)
	if err != nil {
		return nil, err
	}
	sheet := &textPlan{app: a, page: a.page(a.stderr), window: w}
	plan, err := c.EachStep(ctx, o.window, o.query(), func(s wire.PlanStep) error { return sheet.step(&s) })
	if err != nil {
		return nil, fmt.Errorf("the plan is not whole: %w", err)
	}
	return plan, sheet.summary(plan)
}

// savePlan writes the file whole or not at all.
func savePlan(name string, p wire.SavedPlan) error {
	raw, err := client.Encode(p)
	if err != nil {
		return fmt.Errorf("encode the plan: %w", err)
	}
	return writeFile(name, append(raw, '\n'))
}

// writeFile puts a file in its place whole, or not at all; only its owner may read it.
func writeFile(name string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// A planSheet shows a plan in one format.
type planSheet interface {
	step(s *wire.PlanStep) error
	end(p *wire.Plan) error // p has steps only where the sheet wants them
}

func (a *app) planSheet(ctx context.Context, c *client.Client, o planned) (planSheet, error) {
	switch a.output {
	case formatJSON:
		return jsonPlan{a}, nil
	case formatLines:
		return linesPlan{a}, nil
	case formatName:
		return namesPlan{a}, nil
	case formatShell:
		return newShellPlan(a.stdout, o.window)
	default:
		w, err := c.Window(ctx, o.window)
		if err != nil {
			return nil, err
		}
		return &textPlan{app: a, page: a.page(a.stdout), window: w, run: "rollback --window " + w.ID + o.flags()}, nil
	}
}

type jsonPlan struct{ app *app }

func (jsonPlan) step(*wire.PlanStep) error { return nil }
func (j jsonPlan) end(p *wire.Plan) error  { return j.app.showJSON(p) }

// linesPlan writes one step a line, and last the plan without steps.
type linesPlan struct{ app *app }

func (l linesPlan) step(s *wire.PlanStep) error { return l.app.showLine(s) }

func (l linesPlan) end(p *wire.Plan) error {
	last := *p
	last.Steps = []wire.PlanStep{}
	return l.app.showLine(last)
}

// namesPlan writes the ids of the entries that a rollback would send something for.
type namesPlan struct{ app *app }

func (n namesPlan) step(s *wire.PlanStep) error {
	if s.Verdict != "undo" {
		return nil
	}
	_, err := fmt.Fprintln(n.app.stdout, clean(s.EntryID))
	return wrapWrite(err)
}

func (namesPlan) end(*wire.Plan) error { return nil }
