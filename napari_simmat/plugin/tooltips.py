"""Every tooltip of the panel, in one place so that they speak with one voice."""

from __future__ import annotations

LAYER = "The image to segment: any image layer of this window. All its channels are used at once."
MODALITY = "What the sensor measured. It decides how each channel is scaled for the model."
CHANNELS = "The channels that the model sees, all of them, whatever is shown on the screen."
SHOWN = "What you see on the screen. It does not change what the model sees."
AXIS = "The axis along which the channels lie."
PART = "Which of the images or arrays in the file is used."
SAMPLE_FORMAT = "What the stored numbers mean. Where the file does not say it, this is your choice."
ASSUMED = "What the reader took for granted. Change it above where it is wrong."
LARGE = "The region is read at full resolution, at most 2048 x 2048 pixels. Objects of other regions stay in sight."
DEVICE = "Where the model runs; the fastest device of this computer is chosen."
COMPUTE = "Where and how the model computes, and what it keeps on disk."
PRECISION = "Of the products in the network: bfloat16 is faster where the processor has it, masks are almost the same."
THREADS = "How many cores the model uses; learning leaves one of them to the window."
KEPT = "Embeddings of images that were opened before: these need no encoding. The oldest go when there are too many."
CLEAR_KEPT = "Remove all embeddings from the disk. Nothing is lost: they are made again when they are needed."
VERSION = (
    "The adapter that answers. Each training that helps makes a new version; you can go back to any of them."
)
LOAD = "Use an adapter file (.safetensors) that you or somebody else trained for these channels."
SAVE = "Save this version as one small file that you can share."
UNDO_TRAINING = "Go back to the version that this one was trained from."
REDO_TRAINING = "Take the training that was undone up again."
POINTS = "Click on the image to point at an object. Drag to move the view."
BOX = "Drag a box around an object."
OFF = "Leave the mouse and the keys to napari."
POSITIVE = "The next click is on the object. A right click, or Shift+click, means the opposite."
NEGATIVE = (
    "The next click is on what is not part of the object. A right click, or Shift+click, means the opposite."
)
UNDO = "Take back the last gesture: click, accepted object, brush stroke, erased object, training. Also after a restart."
REDO = "Bring back what was undone last."
HISTORY = (
    "Everything that was done to this image, the newest on top. Click on a line to go back or forth to it."
)
PROJECT = "Every gesture is written here before it is shown as done. Nothing in this folder is ever changed or deleted."
READ_ONLY = "Two windows that write would destroy each other's work. Close the other one and open the image here again."
RESUME = "Go on where the last session ended: objects, clicks, model and history come back."
START_EMPTY = "Set the objects of earlier sessions aside. They stay in the project; undo brings them back."
BRING = "Show these objects on the new content of the file. Undo takes them out again."
LEAVE = "Leave them in the project, where they are kept."
TRY_AGAIN = "Try to write everything now; it is also tried every few seconds, and with every gesture."
MERGE = (
    "Make one object of the chosen one and the one under the mouse, which keeps the number of the chosen one."
)
CLEAR = "Drop all clicks of this object."
SEGMENT = "Ask the model again."
HOVER = (
    "Show faintly what a click would give, while the mouse moves over an image without clicks. Off by default where an "
    "answer takes a few hundredths of a second."
)
CANDIDATE = "The model's alternatives, each with the IoU that it expects. Click on the one that fits best."
ACCEPT = "Write the mask into the objects layer and start the next object."
REJECT = "Drop the mask and its clicks."
OBJECT = "The objects accepted so far, of which one can be erased."
CLASS = "What the chosen object is: choose a class in use, or type one and press Enter. Exports have it as category."
ERASE = "Erase the object under the mouse, or the one chosen here."
CLASSES = "What objects are: names and colours, learnt for every pixel and painted over the image."
CLASS_TABLE = "The classes of your objects, and those that the adapter in use has learnt."
ADD_CLASS = "Have a class in the list before any object is one."
RECOLOUR = "Show the class in another colour."
RENAME_CLASS = "Call the class, and all objects of it in this image, otherwise."
LEARN_CLASSES = (
    "Learn in seconds what every pixel is from the objects that have a class. The adapter gets it as a new version; undo "
    "goes back."
)
PAINT = "Paint the learnt classes over the image, in a layer of its own."
ACCEPT_PAINTED = (
    "Make an object with its class of each connected part that is painted, as one gesture. Objects that are there keep "
    "their pixels."
)
DROP_PAINTED = "Show no painted classes any more."
BY_CLASS = "Show objects in the colour of their class; grey where they have none."
PROPOSE = (
    "Learn in seconds from your objects, of all images of this session, where others like them are. Their outlines are "
    "shown, to be accepted or rejected."
)
EVERYTHING = "Ask the model on a grid over the whole image, and propose every mask that it is sure of."
PROPOSALS = "What is proposed, the surest first. Choose one to bring it into sight."
ACCEPT_PROPOSAL = "Make an object of the proposal under the mouse (key), or of the one chosen here (button)."
REJECT_PROPOSAL = "Say that there is no object like yours; the next Propose learns from it."
ABOVE = "Proposals from this score on are shown."
ACCEPT_ALL = "Make objects of all proposals that are shown, as one gesture."
DROP_PROPOSALS = "Show no proposals any more, without rejecting them."
COMPLETE = "Say that nothing is left to be accepted in this image. Propose then learns that the rest of it is no object."
REVIEW = (
    "Ask for each object again with other clicks and boxes, and compare its inside with what surrounds it in all "
    "channels. Where the masks differ much, or the channels tell no difference, look again: the list has the most "
    "uncertain first, and a layer shows where masks differ."
)
RANK_IMAGES = (
    "Do the same for all images of this session that you accepted objects in. The list has the most uncertain image "
    "first."
)
RANKED = "The most uncertain images first, as they were when you asked. Choose one to go on with it."
DOUBTS = "The most uncertain objects first. Choose one to bring it into sight."
AUTO_QUICK = (
    "From three objects on, learn for a few seconds after each accepted object, while you go on clicking."
)
QUICK = "Learn from your objects within seconds: only the last layers."
DEEP = "Learn from your objects through the whole network. It takes minutes, and you can go on clicking."
ROUGH = (
    "Learn from clicks, boxes, lines and coarse outlines alone. Points: a red one, or one with the feature 'sign' 0, is "
    "not the object. Rectangles are boxes, ellipses and polygons outlines, lines scribbles. The feature 'object' says "
    "what belongs together. In a stack, what lies in this slice counts. It takes a minute or two; Undo takes it back."
)
ROUGH_ACCEPTED = "Of all images that this version fits. Their masks are not used, only where you clicked."
ROBUST = "Also learn to see blurred, noisy or darker images as clean ones."
CURVE = "How far off the model is on your objects while it learns; lower is better."
VERDICT = (
    "Part of your objects is kept aside to judge the training; a version that is worse on them is not kept."
)
ADVANCED = "How the next training is done. The defaults fit most cases."
TRANSFER = (
    "What turns all channels into what the encoder takes. Another one starts a new, untrained version; the others stay "
    "in the list of adapters."
)
STRATEGY = (
    "What is trained beside the transfer layer. lora fits most cases; full and decoder make larger adapter files and "
    "forget more."
)
RECIPE = "interactive learns from corrective clicks; paper trains as the SimMAT paper does, which takes much longer."
STEPS = "How many steps to learn; automatic fits most cases."
LEARNING_RATE = "How far each step goes; automatic fits most cases."
SEED = "The same seed and the same objects give the same training."
ATTRIBUTION = "Leaves one channel out after the other, and shows how much worse or better the masks get."
ATTRIBUTE_OBJECT = (
    "The object chosen under Accept, or by its label in the objects layer, with the clicks that made it."
)
ATTRIBUTE_ALL = "All objects of this image, with one click in the middle of each."
SUFFICE = (
    "Found by adding the channel that helps most, one after the other; a smaller set may exist. It tells what this "
    "version makes use of: one that is trained without a channel may find the same in the others."
)
FORMAT = "TIFF: label image. COCO: masks as run-lengths. CSV: area and channel statistics of each object."
EXPORT = "Write the objects of this image to a file."
SCOPE = "Each slice of a stack, and each region of a large image, is exported as an image of its own."
CANCEL = "Stop at the next step; what was there before stays."
BAND = "One channel in grey. Sliding reads only the channel that is shown, and never changes what the model sees."
COMPOSER = "Any three channels as red, green and blue. It does not change what the model sees."
SPECTRUM = (
    "The values of all channels under the mouse, and mean and standard deviation of the last objects and of the one "
    "whose label is selected. Click on the plot to show that channel."
)
BROWSE = "Show or hide the channel browser: slider, false colours, legend and spectra."
PROFILE = "Every channel that goes into the model, with its histogram and the limits between which the model sees it."
METHOD = "Percentiles make images of different exposure alike; a fixed range keeps absolute differences between images."
LOW = "What the model takes as its darkest; everything below is the same to it."
HIGH = "What the model takes as its brightest; everything above is the same to it."
EVERYWHERE = "Give these percentiles to all channels that are scaled by percentiles."
APPLY_PROFILE = "Start a new, untrained version of the model that sees the channels between these limits."
BUILTIN_PROFILE = "Go back to the built-in profile of this modality."
LOAD_PROFILE = "Use a profile (.json) that you or somebody else made for these channels."
SAVE_PROFILE = "Save what the model sees as a small file that you can edit and share."
MODEL_VIEW = "The three channels that the model's transfer layer makes of all that it sees, as a picture."
GROUPS = (
    "Untick a group of channels that is missing or broken: the model answers as if it were not there. Switching costs no "
    "encoding, and undo takes it back."
)
NO_GROUP = "This image has no such channels, so the model looks at the others alone."
GATE = (
    "How the experts of the groups compare in this image: a sensor that fails gets less. '{together}' sees all channels, "
    "only while no group is missing; so much of what is listened to goes to it."
)
GROUP = (
    "Channels of a group are there or missing together, and get one expert. Choose a group or type a name of your own; "
    "Apply starts a new, untrained version."
)
EXPERTS = (
    "Each group of channels learns a model of its own, beside one for all together, so that masks stay good where a "
    "group is missing. Takes as many times longer as there are groups, and once more."
)

NAMES_FOLD = "What objects may be called, by text or after the objects that you named; and finding objects by their name."
NAMES = "What objects may be called, with commas between. A CLIP turns each into the text that objects are compared with."
TEACH = (
    "Choose a CLIP that you have (OpenCLIP: a folder or a checkpoint). The adapter learns what it says of the images and "
    "objects of this session, which takes minutes. Nothing is asked from the network; afterwards no CLIP is needed."
)
TAUGHT = (
    "Who taught the adapter in use, and the names whose text it keeps; and what a teacher sees of the image."
)
FIND_NAMES = (
    "Find what each object is most like: by text, of the names above or of all, where the adapter was taught some; else "
    "objects without a class are compared with those that you named."
)
TAKE_NAMES = "Give each object in the table the name that is shown as its class. Undo takes all of them back."
HOW_NAMED = "Whether objects were compared with texts, or with objects that you named yourself."
NAME_TABLE = "Click on a row to choose its object. A similarity is a cosine, no probability."
TEXT = "Everything on the image that this name fits is proposed, one mask after the other."
BY_TEXT = "Propose masks for this name: accept (which also gives it the name) or reject each."
