// Help that fits: --help of every command, as wide as the terminal is, up to a width that is pleasant to read.

package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tinykv/labs/report"
)

// helpColumns is the width to which help is wrapped at most.
const helpColumns = 100

// forTeachers are the commands of those who grade others or write the course; a learner needs the rest.
var forTeachers = []string{"grade", "mutants", "proof", "variants"}

// The groups of commands.
const (
	learners = "learners"
	teachers = "teachers"
)

// fitHelp makes the help of a command and of those below it as wide as columns says, and puts the commands in groups.
func fitHelp(command *cobra.Command, columns func() int) {
	cobra.AddTemplateFunc("prose", func(text string) string { return prose(text, columns()) })
	cobra.AddTemplateFunc("fitFlags", func(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(columns()) })
	command.SetHelpTemplate(strings.Replace(command.HelpTemplate(),
		"{{. | trimTrailingWhitespaces}}", "{{prose .}}", 1))
	command.SetUsageTemplate(strings.ReplaceAll(command.UsageTemplate(),
		"Flags.FlagUsages | trimTrailingWhitespaces", "Flags | fitFlags | trimTrailingWhitespaces"))
	command.AddGroup(&cobra.Group{ID: learners, Title: "To learn:"},
		&cobra.Group{ID: teachers, Title: "To grade others and to write the course:"})
	for _, c := range command.Commands() {
		c.GroupID = learners
		if slices.Contains(forTeachers, c.Name()) {
			c.GroupID = teachers
		}
	}
}

// prose wraps the paragraphs of a text. Lines that begin with a blank stay as they are.
func prose(text string, columns int) string {
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if !strings.HasPrefix(paragraph, " ") {
			paragraph = strings.Join(report.Wrap(paragraph, columns), "\n")
		}
		out = append(out, paragraph)
	}
	return strings.Join(out, "\n\n")
}

// screenColumns is how wide help should be on the terminal that one sits at.
func screenColumns() int { return min(report.Columns(os.Stdout), helpColumns) }
