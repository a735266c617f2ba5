package bench

import (
	"io"
	"log"
)

// discard is where the other library's log goes.
var discard = log.New(io.Discard, "", 0)
