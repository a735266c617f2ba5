// Seen: how far a learner has looked, kept in .labs/hints.json.

package hint

import (
	"fmt"
	"path/filepath"

	"tinykv/labs/jsonfile"
)

// SeenFile is where it is kept, relative to the root of the tree.
const SeenFile = ".labs/hints.json"

// Seen maps the id of a hint to the highest tier that was shown: 1 to 3. A hint that is not there was not looked at.
type Seen map[string]int

// ReadSeen reads what was seen. No file is nothing seen; a damaged one is an error that says to remove it.
func ReadSeen(root string) (Seen, error) {
	seen := Seen{}
	if _, err := jsonfile.Read(filepath.Join(root, filepath.FromSlash(SeenFile)), &seen); err != nil {
		return nil, fmt.Errorf("read which hints were shown: %w: remove %s", err, SeenFile)
	}
	if seen == nil {
		seen = Seen{}
	}
	return seen, nil
}

// Show records that a tier was shown and stores it.
func (s Seen) Show(root, id string, tier int) error {
	s[id] = max(s[id], tier)
	if err := jsonfile.Write(filepath.Join(root, filepath.FromSlash(SeenFile)), s); err != nil {
		return fmt.Errorf("record that hint %s was shown: %w", id, err)
	}
	return nil
}
