# A short list of verbs. `make` alone lists them.

GO      ?= go
# Paths are trimmed from what is built, so that clones and workspaces share one build cache.
GOBUILD  = $(GO) build -trimpath
GOTEST   = $(GO) test -trimpath
LABS     = ./bin/labs

# A go.work above this folder is not about us.
export GOWORK = off

# What decides without I/O has no goroutine, so nothing in it can race: make race leaves it out.
PURE = ^tinykv/(kv/(command|raftlog|raw|region|replica|sim|store)|scheduler/(cluster|tso))(/|$$)
export DIR FROM

.DEFAULT_GOAL := help
.PHONY: help play test check unit race crash chaos snapshot interop bench start soak replay mutants variants proof proto labs FORCE

help: ## list the verbs
	@grep -hE '^[a-z%]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{sub(/%/, "1a", $$1); printf "  make %-10s %s\n", $$1, $$2}'

play: ## run three stores and a shell that can kill, pause and cut them off: make play [STORES=1] [ENGINE=badger]
	@echo "building the server; the first time this takes a few minutes, and names what it compiles"
	@$(GOBUILD) -v -o bin/kv ./kv
	@./bin/kv play $(if $(STORES),--stores $(STORES)) $(if $(ENGINE),--engine $(ENGINE))

test: check unit interop ## everything that proves the tree: format, vet, tests, proof of the course, unmodified client

check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

unit: ## the tests of this module alone, the proof of the course among them
	@[ "$$($(GO) env CGO_ENABLED)" = 1 ] || \
	echo "left out, because there is no C compiler: the tests of the badger engine, and the proof of stage 1a"
	$(GOTEST) -timeout 40m ./...

race: ## the tests of the packages that have goroutines, under the race detector
	$(GOTEST) -race -timeout 40m $$($(GO) list ./kv/... ./scheduler/... | grep -vE '$(PURE)')

crash: ## kill -9 a server hundreds of times while it is written to (KILLS=300)
	$(GOTEST) -count=1 -timeout 60m -v -run '^TestKilled' ./kv -kills $(or $(KILLS),300)

chaos: ## kill, stop and cut off stores of a real cluster, and judge what its clients saw (ROUNDS=200)
	$(GOTEST) -count=1 -timeout 90m -v -run '^TestChaos' ./kv -rounds $(or $(ROUNDS),200)

snapshot: ## bring up a new store beside clients that write, and judge the memory that its snapshot takes (MIB=256)
	$(GOTEST) -count=1 -timeout 60m -v -run '^TestALargeSnapshot' ./kv -mib $(or $(MIB),256)

interop: ## an unmodified TiKV client and go-ycsb against our server
	cd kv/interop && $(GOTEST) -count=1 -timeout 40m ./...

bench: ## throughput, latency and CPU per operation of each layer; our Raft beside etcd's
	cd kv/bench && $(GO) test -trimpath -run '^$$' -bench . ./...
	cd raft/bench && $(GO) test -trimpath -run '^$$' -bench . ./...

start: labs ## lay out a workspace for a learner: make start DIR=../my-tinykv [FROM=1b]
	@$(if $(DIR),,echo "say where: make start DIR=../my-tinykv" >&2; exit 1;) $(LABS) start --dir "$$DIR" $(if $(FROM),--from "$$FROM")

project%: labs FORCE ## grade a stage; make project1: all stages of project 1
	@$(LABS) test $*

soak: labs ## play a stage's seeded tests with thousands of seeds: make soak STAGE=2aa [SEEDS=10000] [MINUTES=5]
	@$(if $(STAGE),,echo "say which: make soak STAGE=2aa" >&2; exit 1;) $(LABS) soak $(STAGE) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES))

replay: labs ## play a failed run again and tell its story: make replay FILE=.labs/soak/...
	@$(LABS) replay $(if $(FILE),'$(FILE)')

mutants: labs ## run the wrong programs against the graded tests: make mutants [STAGE=1a]
	@$(LABS) mutants $(STAGE)

variants: labs ## run correct programs of another design against the graded tests: make variants [STAGE=1a]
	@$(LABS) variants $(STAGE)

proof: labs ## prove the course: starters fail where they should, the reference passes
	@$(LABS) proof $(STAGE)

proto: ## generate the Go code of proto/ again
	$(GO) run ./proto/generate

# labs is built rather than run by go run, which would add "exit status 1" to every failed test.
labs:
	@$(GOBUILD) -o bin/labs ./labs

FORCE:
