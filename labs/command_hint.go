// labs hint: the hints of a handout, one tier at a time.

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/charmbracelet/glamour"
	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/hint"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

// hintColumns is the width to which hints are wrapped, if the terminal is not narrower.
const hintColumns = 76

func init() {
	tier := 0
	command := &cobra.Command{
		Use:   "hint STAGE[.N]",
		Short: "List the questions of a stage (1a), or help with one (1a.2)",
		Long: `List the questions that people have who are stuck in a stage, or help with one of them.

Each hint has three tiers: a nudge, an idea and the way. Without --tier you see the tiers you have
seen before, or the nudge.`,
		Example: "  labs hint 1a\n  labs hint 1a.2\n  labs hint 1a.2 --tier 2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			return showHint(cmd.OutOrStdout(), here.Root, args[0], tier)
		},
	}
	command.Flags().IntVar(&tier, "tier", 0, "show this tier: 1 the nudge, 2 the idea, 3 the way")
	register(command)
}

// showHint answers "1a" with the list of questions and "1a.2" with a hint.
func showHint(w io.Writer, root, word string, tier int) error {
	id, _, one := strings.Cut(word, ".")
	stage, ok := course.ByID(id)
	if !ok {
		_, err := course.Select(id)
		if err == nil {
			err = fmt.Errorf("%q is more than one stage: name one, as in labs hint 1a", id)
		}
		return err
	}
	if tier < 0 || tier > len(hint.Tiers) {
		return fmt.Errorf("--tier %d: use 1 for the nudge, 2 for the idea, 3 for the way", tier)
	}
	hints, err := readHints(root, stage)
	if err != nil {
		return err
	}
	seen, err := hint.ReadSeen(root)
	if err != nil {
		return err
	}
	if !one {
		return listHints(w, stage, hints, seen)
	}
	for _, h := range hints {
		if h.ID() == word {
			return showTiers(w, root, h, seen, tier)
		}
	}
	return fmt.Errorf("stage %s has no hint %s: labs hint %s lists its %d", stage.ID, word, stage.ID, len(hints))
}

func readHints(root string, stage course.Stage) ([]hint.Hint, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(stage.Handout)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the handout %s is missing", stage.Handout)
	}
	if err != nil {
		return nil, fmt.Errorf("read the handout: %w", err)
	}
	hints, err := hint.Parse(stage.ID, string(text))
	if err != nil {
		return nil, fmt.Errorf("read the hints in %s: %w", stage.Handout, err)
	}
	return hints, nil
}

func listHints(w io.Writer, stage course.Stage, hints []hint.Hint, seen hint.Seen) error {
	if len(hints) == 0 {
		_, err := fmt.Fprintf(w, "There are no hints for stage %s. The handout: %s\n", stage.ID, stage.Handout)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Hints for %s, %s\n\n", stage.ID, stage.Title)
	for _, h := range hints {
		const margin = 2 + 6 + 1 + len(hint.Tiers) + 2
		question := report.Wrap(h.Question, min(hintColumns, report.Columns(w)-4)-margin)
		fmt.Fprintf(&b, "  %-6s %s  %s\n", h.ID(), dots(seen[h.ID()]),
			strings.Join(question, "\n"+strings.Repeat(" ", margin)))
	}
	fmt.Fprintf(&b, "\nOne of them: go run ./labs hint %s\n", hints[0].ID())
	_, err := io.WriteString(w, b.String())
	return err
}

// dots shows how many of the tiers were seen.
func dots(seen int) string {
	seen = min(max(seen, 0), len(hint.Tiers))
	return strings.Repeat("●", seen) + strings.Repeat("○", len(hint.Tiers)-seen)
}

func showTiers(w io.Writer, root string, h hint.Hint, seen hint.Seen, tier int) error {
	first, last := tier, tier
	if tier == 0 {
		first, last = 1, min(max(seen[h.ID()], 1), len(hint.Tiers))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "## %s: %s\n\n", h.ID(), h.Question)
	for n := first; n <= last; n++ {
		fmt.Fprintf(&text, "**%s.** %s\n\n", hint.Tiers[n-1], h.Tiers[n-1])
	}
	rendered, err := renderMarkdown(w, text.String())
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, rendered); err != nil {
		return err
	}
	if last < len(hint.Tiers) {
		fmt.Fprintf(w, "Still stuck? The %s: go run ./labs hint %s --tier %d\n", strings.ToLower(hint.Tiers[last]), h.ID(),
			last+1)
	}
	return seen.Show(root, h.ID(), last)
}

// renderMarkdown makes Markdown pleasant on a terminal and leaves it alone elsewhere.
func renderMarkdown(w io.Writer, text string) (string, error) {
	if !isTerminal(w) {
		return text, nil
	}
	style := glamour.WithAutoStyle()
	if os.Getenv("NO_COLOR") != "" {
		style = glamour.WithStandardStyle("notty")
	}
	renderer, err := glamour.NewTermRenderer(style, glamour.WithWordWrap(min(hintColumns, report.Columns(w)-4)))
	if err != nil {
		return "", fmt.Errorf("prepare the terminal: %w", err)
	}
	return renderer.Render(text)
}
