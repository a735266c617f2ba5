// Commands on the shell itself.

package shell

import (
	"context"
	"strings"
)

func shellCommands() []command {
	return []command{
		{name: "help", aliases: []string{"?"}, args: "[COMMAND]", max: 1, short: "list the commands, or explain one",
			example: []string{"help put"}, run: runHelp},
		{name: "quit", aliases: []string{"exit"}, short: "leave; ctrl-D does it too",
			run: func(context.Context, *Shell, input) (result, error) { return nil, errQuit }},
	}
}

func runHelp(_ context.Context, s *Shell, in input) (result, error) {
	if len(in.args) == 0 {
		return message{s.table.help()}, nil
	}
	c, err := s.table.find(string(in.args[0]))
	if err != nil {
		return nil, err
	}
	return message{helpOne(c)}, nil
}

// helpColumn is as wide as the first column of help may be, so that all of it fits a terminal of 80 columns.
const helpColumn = 26

func (all table) help() string {
	var rows [][]string
	for _, c := range all {
		short := c.short
		if len(c.aliases) > 0 {
			short += " (also: " + strings.Join(c.aliases, ", ") + ")"
		}
		if brief := c.brief(); len(brief) > helpColumn {
			rows = append(rows, []string{brief}, []string{"", short})
		} else {
			rows = append(rows, []string{brief, short})
		}
	}
	return join(columns(rows), "help COMMAND says more. Keys and values may be \"quoted\"; \\xNN is the byte NN.")
}

func helpOne(c command) string {
	lines := []string{c.usage(), "  " + c.short}
	if c.long != "" {
		lines = append(lines, "  "+c.long)
	}
	if len(c.aliases) > 0 {
		lines = append(lines, "  also: "+strings.Join(c.aliases, ", "))
	}
	var rows [][]string
	for _, f := range c.flags {
		rows = append(rows, []string{"  " + f.usage(), f.short})
	}
	lines = append(lines, columns(rows))
	if len(c.example) > 0 {
		lines = append(lines, "examples:")
	}
	for _, e := range c.example {
		lines = append(lines, "  "+e)
	}
	return join(lines...)
}
