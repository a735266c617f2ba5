// Package report tells what a run of graded tests came to: to the person who waits for it, and to programs.
//
//	grade.Event ──► Progress          results in the order of the course, as soon as they are known
//	grade.Report ─► Summary, Board    what is not written yet, points of each stage, the last line
//	             ├► JSON              schema/report.schema.json
//	             ├► JUnit             the XML that CI systems draw; points are properties
//	             ├► Gradescope        results.json, schema/gradescope.schema.json
//	             └► Last              .labs/results.json: the last result of each test, for labs status and labs watch
//
// What always holds:
//
//  1. All formats are written from one report and state the same points, test by test and in sum.
//  2. What is hidden (a hidden pack) never appears in what Gradescope shows to learners, and is not kept by Last.
//  3. Without a terminal, or with NO_COLOR set, no byte of output is a colour or moves a cursor. Signs tell what
//     colours tell.
//  4. A failure shows its reason first, then how to run that test again; everything else that the test printed is in a
//     file.
//
// Example:
//
//	progress := report.NewProgress(os.Stdout, stages, nil, report.ProgressOptions{})
//	r, err := grade.Run(ctx, grade.Options{Root: ".", Stages: stages, Observe: progress.Observe})
//	progress.Finish(r)
//	report.Summary(os.Stdout, r)
//
// What it leaves out: it knows nothing of percentages, letters and deadlines.
package report
