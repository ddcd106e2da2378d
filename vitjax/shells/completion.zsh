#compdef vitjax
# Completes the words behind vitjax; printed by: vitjax completion zsh
_vitjax() {
  local word="$$words[CURRENT]" options='' values=''
  case "$$words[2]" in
$cases
  esac
  if ((CURRENT == 2)); then
    compadd -- $${=:-$commands}
  elif [[ $$word == --config.* && $$word != *=* ]]; then
    compadd -S '' -- $${=:-$keys}
  elif [[ $$word == -* && $$word != *=* ]]; then
    compadd -S '' -- $${(M)$${=options}:#*[=.]}
    compadd -- $${$${=options}:#*[=.]}
  else
    local found=($${(M)$${=values}:#$$word*})
    [[ $$word == *:* ]] || found=($${found:#*:*}) # arguments when the config is complete
    compadd -- $$found
    if [[ $$#found -eq 0 || $$word == --config=* ]]; then
      compset -P '--*='
      _files
    fi
  fi
}
if [[ $$funcstack[1] == _vitjax ]]; then _vitjax; else compdef _vitjax vitjax; fi
