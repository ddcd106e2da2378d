# Completes the words behind vitjax, in bash 3.2 or newer; printed by: vitjax completion bash
_vitjax() {
  local word="$${COMP_LINE:0:COMP_POINT}" options='' values='' option='' before='' found i
  word="$${word##*[[:space:]]}"
  case "$${COMP_WORDS[1]}" in
$cases
  esac
  local IFS=$$' \n'
  if ((COMP_CWORD == 1)); then
    found=($$(compgen -W '$commands' -- "$$word"))
  elif [[ $$word == --config.* && $$word != *=* ]]; then
    found=($$(compgen -W '$keys' -- "$$word"))
  elif [[ $$word == -* && $$word != *=* ]]; then
    found=($$(compgen -W "$$options" -- "$$word"))
  else
    found=($$(compgen -W "$$values" -- "$$word"))
    if [[ $${#found[@]} -eq 0 || $$word == --config=* ]]; then # a file
      IFS=$$'\n'
      [[ $$word == *=* ]] && option="$${word%%=*}="
      found+=($$(compgen -P "$$option" -f -- "$${word#"$$option"}"))
    fi
  fi
  # bash takes what stands behind the last of these for the word.
  for i in "$${word%=*}=" "$${word%:*}:"; do
    if [[ $$COMP_WORDBREAKS == *"$${i: -1}"* && $$word == "$$i"* && $${#i} -gt $${#before} ]]; then
      before="$$i"
    fi
  done
  COMPREPLY=()
  for i in "$${found[@]}"; do
    [[ $$i == *:* && $$word != *:* ]] && continue # arguments when the config is complete
    if [[ -d $${i#"$$option"} ]]; then
      i="$$i/"
    elif [[ $$i != *= && $$i != --config. ]]; then
      i="$$i "
    fi
    COMPREPLY+=("$${i#"$$before"}")
  done
}
complete -o nospace -F _vitjax vitjax
