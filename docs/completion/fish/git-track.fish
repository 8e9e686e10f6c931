# fish completes `git track ...` with what this file says of `git-track ...`.

function __git_track_complete
    set -l answer (env _GIT_TRACK_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \
        COMP_CWORD=(commandline -t) git-track 2>/dev/null)

    for line in $answer
        set -l parts (string split -m 1 "," -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end

complete --no-files --command git-track --arguments "(__git_track_complete)"
