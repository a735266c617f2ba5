// The table. One row, one exercise; a row is added with its handout, tests, mutants and variants.

package course

var stages = []Stage{
	{
		ID: "1a", Project: 1, Title: "The engine: column families, batch, snapshot, iterator",
		Handout: "labs/handouts/1a.md", TestDir: "labs/tests/1a", NeedsC: true,
		Holes: []Hole{},
		Tests: []Test{},
	},
	{
		ID: "1b", Project: 1, Title: "The raw service",
		Handout: "labs/handouts/1b.md", TestDir: "labs/tests/1b",
		Holes: []Hole{},
		Tests: []Test{},
	},
}
