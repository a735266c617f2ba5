package datadir

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// someIDs has a cluster id of 64 bits, as every second cluster has.
var someIDs = IDs{ClusterID: 13807245923162917559, StoreID: 1, RegionID: 2, PeerID: 3}

// plain is what most tests want: a standalone store on pebble.
var plain = Wanted{Engine: "pebble"}

// second is the second store of a cluster.
var second = Wanted{Kind: Replicated, Engine: "pebble", StoreID: 2}

// fingerprint is the names, sizes and contents of everything below dir.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	hash := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			fmt.Fprintln(hash, path)
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(hash, "%s %d %s\n", path, len(data), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(hash.Sum(nil))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	d, err := Open(path, plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Join(someIDs); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestIdentityIsKept(t *testing.T) {
	path := made(t)
	d, err := Open(path, plain)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Identity{Engine: "pebble", IDs: someIDs}); d.Identity() != want || !d.Identity().Joined() {
		t.Errorf("opened again as %+v, was made as %+v", d.Identity(), want)
	}
}

func TestANewDirectoryHasNotJoined(t *testing.T) {
	path := t.TempDir() // exists and is empty
	for range 2 {
		d, err := Open(path, Wanted{Engine: "badger"})
		if err != nil {
			t.Fatal(err)
		}
		if d.Identity() != (Identity{Engine: "badger"}) || d.Identity().Joined() {
			t.Errorf("a new directory says that it is %+v", d.Identity())
		}
	}
}

func TestACrashBeforeTheFirstRenameLeavesAUsableDirectory(t *testing.T) {
	path := t.TempDir()
	write(t, filepath.Join(path, tempName), "half a li")
	if _, err := Open(path, plain); err != nil {
		t.Error(err)
	}
}

func TestACrashWhileReplacingKeepsTheOldIdentity(t *testing.T) {
	path := made(t)
	write(t, filepath.Join(path, tempName), "half a li")
	d, err := Open(path, plain)
	if err != nil {
		t.Fatal(err)
	}
	if d.Identity().IDs != someIDs {
		t.Errorf("identity after the crash: %+v", d.Identity())
	}
}

func TestRefusedDirectoriesAreNotTouched(t *testing.T) {
	identity := string(Identity{Engine: "pebble", IDs: someIDs}.encode())
	replicated := string(Identity{Kind: Replicated, Engine: "pebble", IDs: IDs{StoreID: 2}, Begun: true}.encode())
	cases := []struct {
		name, file, content string
		wanted              Wanted
		want                error
		says                string
	}{
		{"foreign", "letter.txt", "dear", plain, ErrForeign, "letter.txt"},
		{"engine files without identity", "engine/000001.log", "", plain, ErrForeign, "engine"},
		{"newer", identityName, "format = 3\nshape = \"round\"\n", plain, ErrNewer, "run that version"},
		{"other engine", identityName, identity, Wanted{Engine: "badger"}, ErrEngine, "--engine pebble"},
		{"standalone, not replicated", identityName, identity, second, ErrKind, "without --peers"},
		{"replicated, not standalone", identityName, replicated, plain, ErrKind, "--peers and --store-id 2"},
		{"another store", identityName, replicated, Wanted{Replicated, "pebble", 3}, ErrStore, "--store-id 2"},
		{"a replicated store's other engine", identityName, replicated, Wanted{Replicated, "badger", 2}, ErrEngine,
			"--engine pebble"},
		{"kind of a replicated store lost", identityName, reseal(replicated, "kind = \"replicated\"\n", ""), second,
			ErrDamaged, identityName},
		{"empty file", identityName, "", plain, ErrDamaged, identityName},
		{"cut off", identityName, identity[:len(identity)-20], plain, ErrDamaged, identityName},
		{"a digit flipped", identityName, strings.Replace(identity, `store_id = "1"`, `store_id = "7"`, 1), plain, ErrDamaged, identityName},
		{"not text", identityName, "\x00\xff\x17", plain, ErrDamaged, identityName},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			write(t, filepath.Join(path, c.file), c.content)
			before := fingerprint(t, path)
			_, err := Open(path, c.wanted)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line that wraps %q and says %q", err, c.want, c.says)
			}
			if fingerprint(t, path) != before {
				t.Error("the directory was changed")
			}
		})
	}
}

func TestEveryCutAndEveryFlippedBitIsNoticed(t *testing.T) {
	good := Identity{Kind: Replicated, Engine: "pebble", IDs: someIDs, Begun: true}.encode()
	for n := range len(good) - 1 { // without the last newline it is still whole
		if id, err := decodeIdentity(good[:n]); err == nil {
			t.Errorf("cut to %d bytes it was read as %+v", n, id)
		}
	}
	want, err := decodeIdentity(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := append([]byte{}, good...)
			bad[i] ^= 1 << bit
			if id, err := decodeIdentity(bad); err == nil && id != want {
				t.Errorf("with bit %d of byte %d flipped it was read as %+v", bit, i, id)
			}
		}
	}
}

// reseal changes the content of an IDENTITY and gives it a checksum that fits.
func reseal(content, old, replacement string) string {
	sealed, _, _ := strings.Cut(strings.Replace(content, old, replacement, 1), "checksum = ")
	return fmt.Sprintf("%schecksum = %q\n", sealed, checksum([]byte(sealed)))
}

func TestAReplicatedStoreJoinsAndBeginsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	want := Identity{Kind: Replicated, Engine: "pebble", IDs: IDs{StoreID: 2}}
	for _, step := range []func(*Dir) error{
		func(*Dir) error { return nil },
		func(d *Dir) error {
			want.IDs = IDs{ClusterID: 1 << 63, StoreID: 2, RegionID: 4, PeerID: 6}
			return d.Join(want.IDs)
		},
		func(d *Dir) error { want.Begun = true; return d.Begin() },
	} {
		d, err := Open(path, second)
		if err == nil {
			want.Nonce = cmp.Or(want.Nonce, d.Identity().Nonce) // it is drawn once
			err = step(d)
		}
		if err == nil {
			d, err = Open(path, second)
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.Identity() != want || d.Identity().Joined() != (want.ClusterID != 0) {
			t.Errorf("opened again as %+v, want %+v", d.Identity(), want)
		}
	}
}

func TestEachReplicatedDirectoryHasANonceOfItsOwn(t *testing.T) {
	drawn := map[string]bool{}
	for i := range 3 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		d, err := Open(path, second)
		if err != nil || d.Identity().Nonce == "" || drawn[d.Identity().Nonce] {
			t.Fatalf("%+v after %v, %v", d.Identity(), drawn, err)
		}
		drawn[d.Identity().Nonce] = true
		// One that an earlier version has made has none, and is as good.
		file := filepath.Join(path, identityName)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, reseal(string(data), fmt.Sprintf("nonce = %q\n", d.Identity().Nonce), ""))
		if d, err = Open(path, second); err != nil || d.Identity().Nonce != "" {
			t.Errorf("without a nonce: %+v, %v", d, err)
		}
	}
}

func TestALostIdentityIsToldAsSuch(t *testing.T) {
	path := made(t)
	write(t, filepath.Join(path, engineName, "000001.log"), "")
	write(t, filepath.Join(path, schedulerName, "cluster"), "")
	if err := os.Remove(filepath.Join(path, identityName)); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, path)
	_, err := Open(path, plain)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "IDENTITY is missing") {
		t.Errorf("got %v, want one line that says that IDENTITY is missing", err)
	}
	if fingerprint(t, path) != before {
		t.Error("the directory was changed")
	}
}

func TestAPathBelowAFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "content")
	for _, path := range []string{file, filepath.Join(file, "data")} {
		if _, err := Open(path, plain); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("open %s: %v", path, err)
		}
	}
}
