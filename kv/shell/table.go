// The table of commands: what each is called, what it takes, what help says, and what runs it.

package shell

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// command is one line of the table.
type command struct {
	name    string
	aliases []string
	args    string   // as help shows them: KEY VALUE
	choices []string // what the argument can be, if that is known
	min     int      // words that must follow the name
	max     int      // words that may; -1: any number
	flags   []flag
	short   string // one line
	long    string // more, if there is more to say
	example []string
	run     func(ctx context.Context, s *Shell, in input) (result, error)
}

// flag is what may stand anywhere behind the name of a command: --name, or --name VALUE.
type flag struct {
	name  string
	value string // what to call its value, "" if it has none
	short string
	shown bool // args has it already
}

// input is what was typed behind the name of a command.
type input struct {
	args  [][]byte
	flags map[string]string
}

// arg returns an argument, or nil if there are fewer.
func (in input) arg(i int) []byte {
	if i < len(in.args) {
		return in.args[i]
	}
	return nil
}

func (in input) has(flag string) bool {
	_, ok := in.flags[flag]
	return ok
}

// table is all commands of a shell, in the order help shows them.
type table []command

// newTable makes the table of a shell. One that has no processes to play with has no commands for that.
func newTable(processes Processes) table {
	cluster := clusterCommands()
	if processes == nil {
		return slices.Concat(dataCommands(), cluster, shellCommands())
	}
	cluster = slices.DeleteFunc(cluster, func(c command) bool { return c.name == "status" }) // there is a better one
	return slices.Concat(dataCommands(), processCommands(processes), cluster, shellCommands())
}

// usage is the line that shows how a command is typed.
func (c command) usage() string {
	words := []string{c.name}
	if c.args != "" {
		words = append(words, c.args)
	}
	for _, f := range c.flags {
		if !f.shown {
			words = append(words, "["+f.usage()+"]")
		}
	}
	return strings.Join(words, " ")
}

// brief is usage as the list of all commands shows it, where there is room for one flag.
func (c command) brief() string {
	words := []string{c.name}
	if c.args != "" {
		words = append(words, c.args)
	}
	for i, f := range c.flags {
		switch {
		case f.shown:
		case i+1 < len(c.flags):
			return strings.Join(append(words, "[--...]"), " ")
		default:
			words = append(words, "[--"+f.name+"]")
		}
	}
	return strings.Join(words, " ")
}

func (f flag) usage() string {
	if f.value == "" {
		return "--" + f.name
	}
	return "--" + f.name + " " + f.value
}

// find returns the command of a name, or an error that suggests the nearest.
func (all table) find(name string) (command, error) {
	for _, c := range all {
		if c.name == name || slices.Contains(c.aliases, name) {
			return c, nil
		}
	}
	if near, ok := all.nearest(name); ok {
		return command{}, fmt.Errorf("unknown command %s: did you mean %s? (help lists all)", brief([]byte(name)), near)
	}
	return command{}, fmt.Errorf("unknown command %s: help lists all", brief([]byte(name)))
}

// parse sorts the words behind the name into arguments and flags.
func (c command) parse(words []Word) (input, error) {
	in := input{flags: map[string]string{}}
	for i := 0; i < len(words); i++ {
		w := words[i]
		name, isFlag := strings.CutPrefix(w.Text, "--")
		if !isFlag || w.Quoted {
			in.args = append(in.args, []byte(w.Text))
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		at := slices.IndexFunc(c.flags, func(f flag) bool { return f.name == name })
		switch {
		case at < 0:
			return input{}, fmt.Errorf("%s has no flag --%s (a key that begins with -- has to be quoted); usage: %s",
				c.name, name, c.usage())
		case c.flags[at].value == "" && hasValue:
			return input{}, fmt.Errorf("--%s takes no value; usage: %s", name, c.usage())
		case c.flags[at].value != "" && !hasValue:
			if i++; i == len(words) {
				return input{}, fmt.Errorf("--%s needs a value, %s; usage: %s", name, c.flags[at].value, c.usage())
			}
			value = words[i].Text
		}
		in.flags[name] = value
	}
	if len(in.args) < c.min || c.max >= 0 && len(in.args) > c.max {
		return input{}, fmt.Errorf("%s takes %s, not %d; usage: %s", c.name, c.count(), len(in.args), c.usage())
	}
	return in, nil
}

// count says how many arguments there should be.
func (c command) count() string {
	switch {
	case c.max < 0:
		return fmt.Sprintf("at least %d", c.min)
	case c.min == c.max && c.max == 1:
		return "1 argument"
	case c.min == c.max:
		return fmt.Sprintf("%d arguments", c.max)
	}
	return fmt.Sprintf("%d to %d arguments", c.min, c.max)
}

// nearest finds the name that was probably meant: the fewest letters away, and not more than a third of them.
func (all table) nearest(name string) (string, bool) {
	names := []string{}
	for _, c := range all {
		names = append(append(names, c.name), c.aliases...)
	}
	best := slices.MinFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(name, a), distance(name, b)), cmp.Compare(a, b))
	})
	d := distance(name, best)
	return best, d <= max(1, len(best)/3) && d < len(best)
}

// distance is the number of letters to insert, remove, replace or swap with their neighbour that turns a into b.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(above[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows = [3][]int{above, row, before}
	}
	return rows[1][len(b)]
}
