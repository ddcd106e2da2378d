# Completes the words behind vitjax; printed by: vitjax completion fish
function __vitjax
    set -l word (commandline -ct)
    set -l before (commandline -opc)
    set -l options
    set -l values
    switch "$$before[2]"
$cases
    end
    if test (count $$before) -eq 1
        string split ' ' '$commands'
    else if string match -q -- '--config.*' $$word; and not string match -q -- '*=*' $$word
        string split ' ' -- '$keys'
    else if string match -q -- '-*' $$word; and not string match -q -- '*=*' $$word
        string split ' ' -- $$options
    else
        set -l found (string match -- "$$word*" (string split ' ' -- $$values))
        if not string match -q -- '*:*' $$word # arguments when the config is complete
            set found (string match -v -- '*:*' $$found)
        end
        string join \n -- $$found
        if test (count $$found) -eq 0; or string match -q -- '--config=*' $$word
            set -l option (string match -r -- '^--[^=]*=' $$word)
            set -l path (string replace -r -- '^--[^=]*=' '' $$word)
            printf "$$option%s\n" (__fish_complete_path $$path)
        end
    end
end
complete -c vitjax -f -a '(__vitjax)'
