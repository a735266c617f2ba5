// Package decl reads a Go package as its declarations, and tells who uses whom.
//
//	func Open ──uses──> type store ──has──> store.Write
//	    └──────uses──> func tune ──uses──> const cacheBytes
//
// Two things are made of it. The starter generator asks what only the bodies of holes use, because a helper that
// stays in sight would give the answer away. The transplant of reference functions into a learner's file asks what
// they need beside themselves.
//
// What always holds:
//
//  1. Only the package's own files are read: nothing is compiled, no import is resolved, a package with errors will do.
//  2. Where a name can't be resolved for that reason, it counts as a use of everything it could mean within the
//     package. So too much is kept, never too little.
//  3. Build constraints are ignored: files of all systems are one package, and a name may be declared in several of
//     them.
//
// Example:
//
//	pkg, err := decl.Load("kv/engine/badger", "tinykv/kv/engine/badger", files)
//	open, err := pkg.Func("open.go", "Open")
//	for _, unit := range pkg.OnlyUsedBy([]*decl.Unit{open}, nil) {
//		fmt.Println(unit.Names)
//	}
//
// It leaves out other packages: what is exported counts as used.
package decl
