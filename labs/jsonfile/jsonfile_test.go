package jsonfile_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"tinykv/labs/jsonfile"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "below", "value.json")
	got := map[string]int{"kept": 1}
	if found, err := jsonfile.Read(path, &got); found || err != nil || got["kept"] != 1 {
		t.Errorf("of no file: found %v, error %v, %v", found, err, got)
	}
	for _, want := range []map[string]int{{"a": 1}, {"b": 2, "ü\n": -3}} {
		if err := jsonfile.Write(path, want); err != nil {
			t.Fatal(err)
		}
		got = nil
		if found, err := jsonfile.Read(path, &got); !found || err != nil || !maps.Equal(got, want) {
			t.Errorf("found %v, error %v, %v; want %v", found, err, got, want)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the file: %v, %v", entries, err)
	}
}

func TestADamagedFileIsAnErrorAndAFailedWriteChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value.json")
	const torn = `{"a": 1`
	if err := os.WriteFile(path, []byte(torn), 0o644); err != nil {
		t.Fatal(err)
	}
	var got map[string]int
	if found, err := jsonfile.Read(path, &got); !found || err == nil {
		t.Errorf("found %v, error %v; want a file that can't be understood", found, err)
	}
	if err := os.Mkdir(path+".new", 0o755); err != nil { // in the way of the file that is written first
		t.Fatal(err)
	}
	if err := jsonfile.Write(path, got); err == nil {
		t.Error("no error from a write that could not be")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != torn {
		t.Errorf("after a failed write the file holds %q, %v", text, err)
	}
}
