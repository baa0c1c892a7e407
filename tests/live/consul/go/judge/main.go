// Says what go-bexpr makes of expressions: on each line of standard input {"filter": EXPRESSION, "data": [INSTANCE, ...]},
// on standard output {"found": [true, false, ...]}, or {"refused": TEXT} when it is no expression.
//
// An instance is what health/service answers, with enough of its fields that each type is there: expressions are judged
// by the types of fields.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"github.com/hashicorp/go-bexpr"
)

type question struct {
	Filter string     `json:"filter"`
	Data   []instance `json:"data"`
}

type instance struct {
	Node    *node
	Service *service
	Checks  []*check
}

type node struct {
	Node            string
	Address         string
	TaggedAddresses map[string]string
	Meta            map[string]string
}

type service struct {
	ID                string
	Service           string
	Tags              []string
	TaggedAddresses   map[string]address
	Meta              map[string]string
	Port              int
	Weights           weights
	EnableTagOverride bool
}

type address struct {
	Address string
	Port    int
}

type weights struct {
	Passing int
	Warning int
}

type check struct {
	CheckID     string
	Status      string
	Output      string
	ServiceTags []string
	ExposedPort int
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	answers := json.NewEncoder(out)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		said := map[string]any{}
		if found, err := judge(asked); err != nil {
			said["refused"] = err.Error()
		} else {
			said["found"] = found
		}
		if err := answers.Encode(said); err != nil {
			panic(err)
		}
	}
}

func judge(asked question) ([]bool, error) {
	evaluator, err := bexpr.CreateEvaluatorForType(asked.Filter, nil, (*instance)(nil))
	if err != nil {
		return nil, err
	}
	found := []bool{}
	for at := range asked.Data {
		wanted, err := evaluator.Evaluate(&asked.Data[at])
		if err != nil {
			return nil, err
		}
		found = append(found, wanted)
	}
	return found, nil
}
