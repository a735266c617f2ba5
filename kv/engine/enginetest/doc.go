// Package enginetest holds every engine to the contract of kv/engine: a table of cases, a fuzz test against a
// model, benchmarks.
//
//	func TestConformance(t *testing.T)     { enginetest.Run(t, fresh) }
//	func FuzzEngine(f *testing.F)          { enginetest.Fuzz(f, "./kv/engine/mine", fresh) }
//	func BenchmarkEngine(b *testing.B)     { enginetest.Benchmark(b, fresh) }
//
//	func fresh(t testing.TB) enginetest.Open {
//		dir := t.TempDir()
//		return func() (engine.Engine, error) { return mine.Open(dir) }
//	}
//
// Each case is about one sentence of the contract (Case.Says). When it fails it tells what was done, what the
// contract asks for and what came, so that whoever wrote the engine need not read the test.
//
// What it leaves out: crashes and damaged files, for which each engine has its own means (a simulated disk, a file
// system that crashes, a real kill); see the tests beside the engines.
package enginetest
